package shard

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard/corpus"
)

// read fills the spool.
func (p *preparation) read(ctx context.Context) error {
	var err error
	if p.spool, err = createSpool(p.fsys, filepath.Join(p.staging, "spool")); err != nil {
		return err
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
		for _, text := range d.Paragraphs {
			sentences = corpus.AppendSentences(sentences, text)
		}
	}
	if len(sentences) < minDocuments {
		return p.tooLittle("%s that are not repeated, at least %d are needed", words.Several(len(sentences), "sentence"), minDocuments)
	}
	var err error
	if p.spool, err = createSpool(p.fsys, p.spool.path); err != nil {
		return err
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
	return p.splitter.at(d.number, draw(p.opts.Seed, d.Content))
}

func (p *preparation) tooLittle(format string, args ...any) error {
	return &corpus.InputError{Input: strings.Join(p.opts.Inputs, ", "), Reason: "holds too little text: " + fmt.Sprintf(format, args...)}
}
