package shard

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/shard/corpus"
	"github.com/gramme-project/gramme/shard/internal/pipeline"
)

// jobBytes is the text that one core tokenizes at a time.
const jobBytes = 256 << 10

// tokenize writes the shards into the staging folder and fills the manifest.
func (p *preparation) tokenize(ctx context.Context, tok textTokenizer) error {
	vocab := tok.Vocab()
	done := int64(0)
	t := &tokenizer{encoder: tok, piece: make([]bool, len(vocab)), maxSeq: p.opts.MaxSeq, where: p.where}
	t.seen = func(n int64) {
		done += n
		p.opts.Progress(StageTokenize, done, p.prov.Bytes)
	}
	for i, v := range vocab {
		t.piece[i] = strings.HasPrefix(v, "##") && len(v) > 2
	}
	for i := range t.writers {
		t.writers[i] = &splitWriter{
			name: partNames[i], limit: p.opts.ShardTokens, builder: NewBuilder(p.opts.MaxSeq, len(vocab)),
			write: p.write, counts: make([]int64, len(vocab)),
		}
	}
	if err := t.run(ctx, p.spool.all()); err != nil {
		return err
	}
	for i, w := range t.writers {
		if err := w.flush(); err != nil {
			return err
		}
		if len(w.split.Shards) == 0 {
			return p.tooLittle("the %s split is empty", partNames[i])
		}
	}
	p.prov.Sentences = t.sentences
	p.prov.TooShort += t.tooShort
	p.prov.Documents -= t.tooShort
	p.prov.Options = Options{
		VocabSize: p.opts.VocabSize, Lowercase: tok.Lowercase(), MaxSeq: p.opts.MaxSeq, ShardTokens: p.opts.ShardTokens,
		Seed: p.opts.Seed, KeepDuplicates: p.opts.KeepDuplicates,
	}
	p.manifest = Manifest{
		Version: ManifestVersion, VocabSize: len(vocab), Lowercase: tok.Lowercase(), MaxSeq: p.opts.MaxSeq,
		Splits: Splits{Train: t.writers[train].split, Validation: t.writers[validation].split, Test: t.writers[test].split},
	}
	heldOut, own := entropies(t.writers[train].counts, t.writers[validation].counts)
	p.manifest.UnigramEntropyNats, p.manifest.TrainEntropyNats = number.Float(heldOut), number.Float(own)
	return nil
}

// tokenized is a document after its work was done.
type tokenized struct {
	document
	part      part
	tokens    []int32
	chunks    []span
	sentences int64
}

// tokenizer turns the spool into shards.
type tokenizer struct {
	encoder textTokenizer
	piece   []bool
	maxSeq  int
	where   func(document) part
	writers [parts]*splitWriter
	seen    func(bytes int64)

	sentences int64
	tooShort  int64
}

// run tokenizes on all cores; the result does not depend on their number.
func (t *tokenizer) run(ctx context.Context, documents iter.Seq2[document, error]) error {
	return pipeline.Ordered(ctx, batches(documents), t.work, t.take)
}

// batches groups documents so that a job is worth handing over.
func batches(documents iter.Seq2[document, error]) iter.Seq2[[]document, error] {
	return func(yield func([]document, error) bool) {
		var batch []document
		var size int64
		for d, err := range documents {
			if err != nil {
				yield(nil, err)
				return
			}
			batch = append(batch, d)
			if size += d.bytes; size >= jobBytes {
				if !yield(batch, nil) {
					return
				}
				batch, size = nil, 0
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

func (t *tokenizer) work(batch []document) ([]tokenized, error) {
	out := make([]tokenized, len(batch))
	var sentences []string
	var ends []int
	for i, d := range batch {
		tokens := make([]int32, 0, d.bytes/3)
		ends = ends[:0]
		sentences = sentences[:0]
		for _, p := range d.Paragraphs {
			sentences = corpus.AppendSentences(sentences, p)
		}
		for _, s := range sentences {
			before := len(tokens)
			if tokens = t.encoder.Encode(tokens, s); len(tokens) > before {
				ends = append(ends, len(tokens))
			}
		}
		out[i] = tokenized{document: d, part: t.where(d), tokens: tokens, sentences: int64(len(ends))}
		out[i].document.Paragraphs = nil
		if len(tokens) >= 2 {
			out[i].chunks = chunks(tokens, ends, t.maxSeq-3, t.piece)
		}
	}
	return out, nil
}

func (t *tokenizer) take(batch []tokenized) error {
	for _, d := range batch {
		t.seen(d.bytes)
		if len(d.chunks) == 0 {
			t.tooShort++
			continue
		}
		t.sentences += d.sentences
		if err := t.writers[d.part].add(d); err != nil {
			return err
		}
	}
	return nil
}

// splitWriter writes the shards of one split.
type splitWriter struct {
	name    string
	limit   int // tokens of a shard
	builder *Builder
	write   func(name string, content []byte) error
	split   Split
	counts  []int64 // by token
}

func (w *splitWriter) add(d tokenized) error {
	w.split.Documents++
	for _, c := range d.chunks {
		if w.builder.Chunks() > 0 && w.builder.Tokens()+c.to-c.from > w.limit {
			if err := w.flush(); err != nil {
				return err
			}
		}
		if err := w.builder.Add(uint64(d.number), d.tokens[c.from:c.to], c.bounds); err != nil {
			return fmt.Errorf("document %d: %w", d.number, err)
		}
	}
	for _, t := range d.tokens {
		w.counts[t]++
	}
	return nil
}

// flush writes the shard begun, if it has chunks.
func (w *splitWriter) flush() error {
	if w.builder.Chunks() == 0 {
		return nil
	}
	content := w.builder.Encode()
	info := ShardInfo{
		Name:   fmt.Sprintf("%s-%05d.shard", w.name, len(w.split.Shards)),
		SHA256: sha256Hex(content), Bytes: int64(len(content)),
		Chunks: w.builder.Chunks(), Tokens: int64(w.builder.Tokens()),
	}
	if err := w.write(info.Name, content); err != nil {
		return err
	}
	w.split.Shards = append(w.split.Shards, info)
	w.split.Chunks += int64(info.Chunks)
	w.split.Tokens += info.Tokens
	w.builder.Reset()
	return nil
}
