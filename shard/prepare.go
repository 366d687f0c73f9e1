package shard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard/corpus"
)

// stagingName is the folder within OutDir in which a preparation works; files there
// belong to an interrupted one.
const stagingName = ".prepare"

// Prepare reads a corpus, trains a vocabulary, and writes shards and manifest to
// OutDir. It passes over the text three times: reading, which cleans and
// de-duplicates it into a temporary file; the vocabulary; the tokens. Memory is
// bounded by about 256 MB and the vocabulary's training, whatever the corpus.
//
// An error leaves OutDir as it was: no file of the new corpus becomes visible
// before all of them have reached the disk. An *corpus.InputError in the chain
// means that the input is at fault; a full disk is syscall.ENOSPC.
func Prepare(ctx context.Context, opts PrepareOptions) (Manifest, error) {
	return (&preparation{opts: opts, fsys: vfs.OS{}, makeTokenizer: makeWordPiece}).prepare(ctx)
}

// prepare checks, works in the staging folder, and leaves nothing behind when it
// fails.
func (p *preparation) prepare(ctx context.Context) (Manifest, error) {
	if err := p.opts.Validate(); err != nil {
		return Manifest{}, err
	}
	p.opts = p.opts.withDefaults()
	out := p.opts.OutDir
	if p.opts.Tokenizer != "" {
		// Found out before the corpus is read, which may take long.
		if _, err := os.Stat(filepath.Join(p.opts.Tokenizer, "vocab.txt")); err != nil {
			return Manifest{}, fmt.Errorf("prepare %s: open tokenizer %s: vocab.txt: %w", out, p.opts.Tokenizer, vfs.WithoutPath(err))
		}
	}
	fail := func(err error) (Manifest, error) {
		return Manifest{}, fmt.Errorf("prepare %s: %w", out, err)
	}
	if _, err := p.fsys.Stat(out); errors.Is(err, fs.ErrNotExist) {
		// A folder made for nothing goes again; with files in it, it stays.
		defer func() { _ = p.fsys.Remove(out) }()
	}
	if err := vfs.MkdirAll(p.fsys, out, 0o755); err != nil {
		return fail(vfs.WithoutPath(err))
	}
	lock, err := vfs.Lock(p.fsys, out, 0)
	if errors.Is(err, vfs.ErrLocked) {
		err = errors.New("another process is preparing this folder")
	}
	if err != nil {
		return fail(vfs.WithoutPath(err))
	}
	defer lock.Close()
	p.staging = filepath.Join(out, stagingName)
	if err := vfs.RemoveAll(p.fsys, p.staging); err != nil {
		return fail(err)
	}
	if err := p.fsys.Mkdir(p.staging, 0o755); err != nil {
		return fail(vfs.WithoutPath(err))
	}
	defer func() { _ = vfs.RemoveAll(p.fsys, p.staging) }()
	if err := p.run(ctx); err != nil {
		return fail(err)
	}
	return p.manifest, nil
}

// preparation is one call of Prepare.
type preparation struct {
	opts     PrepareOptions
	fsys     vfs.FS
	staging  string
	spool    *spool
	splitter splitter
	prov     Provenance
	manifest Manifest
	// makeTokenizer trains on the text, or loads what the options name.
	makeTokenizer func(ctx context.Context, opts PrepareOptions, text iter.Seq2[string, error]) (textTokenizer, error)
}

// textTokenizer is what a preparation needs of a tokenizer.
type textTokenizer interface {
	encoder
	Vocab() []string
	Lowercase() bool
	Files(maxLength int) (map[string][]byte, error)
}

func (p *preparation) run(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	tok, err := p.makeTokenizer(ctx, p.opts, p.trainText(vocabularyBytes))
	if err != nil {
		return err
	}
	if err := p.tokenize(ctx, tok); err != nil {
		return err
	}
	return p.publish(tok)
}

// read fills the spool.
func (p *preparation) read(ctx context.Context) error {
	var err error
	if p.spool, err = createSpool(p.fsys, filepath.Join(p.staging, "spool")); err != nil {
		return fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	seen := newDedup(dedupSlots)
	report, err := corpus.Read(ctx, p.opts.Inputs, corpus.Options{
		Exclude: p.opts.OutDir,
		Stdin:   p.opts.Stdin,
		Progress: func(done, total int64) {
			p.opts.Progress(StageRead, done, total)
		},
	}, func(d corpus.Document) error {
		kept := d.Paragraphs[:0]
		for _, text := range d.Paragraphs {
			if !p.opts.KeepDuplicates && seen.seen(text) {
				p.prov.DuplicatesDropped++
				p.prov.DuplicateBytes += int64(len(text))
				continue
			}
			kept = append(kept, text)
		}
		return p.keep(kept)
	})
	if e := p.spool.close(); err == nil {
		err = e
	}
	p.prov.Corpus = report
	if err != nil {
		return err
	}
	if p.splitter.documents < minDocuments {
		if err := p.splitSmall(); err != nil {
			return err
		}
	}
	p.splitter.finish()
	return nil
}

// keep puts a document into the spool.
func (p *preparation) keep(paragraphs []string) error {
	if !hasTwoWords(paragraphs) {
		if len(paragraphs) > 0 {
			p.prov.TooShort++
		}
		return nil
	}
	content := contentHash(paragraphs)
	p.splitter.add(draw(p.opts.Seed, content))
	p.prov.Documents++
	for _, text := range paragraphs {
		p.prov.Bytes += int64(len(text))
	}
	return p.spool.add(content, paragraphs)
}

// hasTwoWords says whether a document can be cut in two; a single long word may
// be a sentence of a script without spaces.
func hasTwoWords(paragraphs []string) bool {
	size := 0
	for _, p := range paragraphs {
		if strings.IndexByte(p, ' ') > 0 {
			return true
		}
		size += len(p)
	}
	return len(paragraphs) > 1 || size > 16
}

// splitSmall spools a corpus of one or two documents again as several, cut
// between sentences, so that every split gets one.
func (p *preparation) splitSmall() error {
	var sentences []string
	for d, err := range p.spool.all() {
		if err != nil {
			return err
		}
		for _, text := range d.paragraphs {
			sentences = corpus.AppendSentences(sentences, text)
		}
	}
	if len(sentences) < minDocuments {
		reason := fmt.Sprintf("holds too little text: %s that are not repeated, at least %d are needed", words.Several(len(sentences), "sentence"), minDocuments)
		return &corpus.InputError{Input: strings.Join(p.opts.Inputs, ", "), Reason: reason}
	}
	var err error
	if p.spool, err = createSpool(p.fsys, p.spool.path); err != nil {
		return fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	p.splitter, p.prov.Documents, p.prov.Bytes = splitter{}, 0, 0
	pieces := min(max(minDocuments, len(sentences)/8), 50)
	for i := range pieces {
		if err := p.keep(sentences[i*len(sentences)/pieces : (i+1)*len(sentences)/pieces]); err != nil {
			return err
		}
	}
	return p.spool.close()
}

// where is the split of a spooled document.
func (p *preparation) where(d document) part {
	return p.splitter.at(d.number, draw(p.opts.Seed, d.content))
}

// trainText is the train split, or, when the corpus is larger than limit, as
// many of its documents, drawn by their content.
func (p *preparation) trainText(limit int64) iter.Seq2[string, error] {
	share := float64(limit) / float64(max(p.prov.Bytes, 1))
	return func(yield func(string, error) bool) {
		for d, err := range p.spool.all() {
			if err != nil {
				yield("", err)
				return
			}
			if p.where(d) != train || share < 1 && draw(p.opts.Seed+1, d.content) >= share {
				continue
			}
			for _, text := range d.paragraphs {
				if !yield(text, nil) {
					return
				}
			}
		}
	}
}

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
			reason := fmt.Sprintf("holds too little text: the %s split is empty", partNames[i])
			return &corpus.InputError{Input: strings.Join(p.opts.Inputs, ", "), Reason: reason}
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

// publish writes the remaining files and makes the corpus visible: the old manifest
// goes first, the new one comes last.
func (p *preparation) publish(tok textTokenizer) error {
	files, err := tok.Files(max(512, p.opts.MaxSeq))
	if err != nil {
		return fmt.Errorf("write tokenizer: %w", err)
	}
	p.manifest.Files = map[string]string{}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		p.manifest.Files[name] = sha256Hex(files[name])
		if err := p.write(name, files[name]); err != nil {
			return err
		}
	}
	p.manifest.TokenizerSHA256 = p.manifest.Files["vocab.txt"]
	if p.opts.Tokenizer != "" {
		p.prov.Options.Tokenizer = p.manifest.TokenizerSHA256
		p.prov.Options.VocabSize = p.manifest.VocabSize
	}
	p.manifest.Provenance = p.prov
	if err := p.manifest.Validate(); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	b, err := p.manifest.Encode()
	if err != nil {
		return err
	}
	if err := p.write(ManifestName, b); err != nil {
		return err
	}
	for _, s := range []Split{p.manifest.Splits.Train, p.manifest.Splits.Validation, p.manifest.Splits.Test} {
		for _, i := range s.Shards {
			names = append(names, i.Name)
		}
	}
	return p.moveIntoPlace(names)
}

// moveIntoPlace moves the files of the staging folder to their place.
func (p *preparation) moveIntoPlace(names []string) error {
	out := p.opts.OutDir
	move := func(name string) error {
		return p.fsys.Rename(filepath.Join(p.staging, name), filepath.Join(out, name))
	}
	if err := p.fsys.Remove(filepath.Join(out, ManifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := vfs.SyncDir(p.fsys, out); err != nil {
		return err
	}
	old, err := p.fsys.ReadDir(out)
	if err != nil {
		return err
	}
	for _, f := range old {
		if !isShard(f.Name()) {
			continue
		}
		if err := p.fsys.Remove(filepath.Join(out, f.Name())); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := move(name); err != nil {
			return err
		}
	}
	if err := vfs.SyncDir(p.fsys, out); err != nil {
		return err
	}
	if err := move(ManifestName); err != nil {
		return err
	}
	return vfs.SyncDir(p.fsys, out)
}

// isShard says whether a name is that of a shard that a preparation wrote.
func isShard(name string) bool {
	base, ok := strings.CutSuffix(name, ".shard")
	split, digits, dashed := strings.Cut(base, "-")
	return ok && dashed && slices.Contains(partNames[:], split) && len(digits) >= 5 && strings.Trim(digits, "0123456789") == ""
}

// write writes a file that has reached the disk when it returns.
func (p *preparation) write(name string, content []byte) error {
	if err := vfs.Stage(p.fsys, filepath.Join(p.staging, name), 0o644, vfs.Bytes(content)); err != nil {
		return fmt.Errorf("write %s: %w", name, vfs.WithoutPath(err))
	}
	return nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
