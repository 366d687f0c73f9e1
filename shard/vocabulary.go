package shard

import (
	"context"
	"fmt"
	"iter"

	"github.com/gramme-project/gramme/shard/wordpiece"
)

// textTokenizer is what a preparation needs of a tokenizer.
type textTokenizer interface {
	// Encode is safe for concurrent use.
	Encode(dst []int32, text string) []int32
	Vocab() []string
	Lowercase() bool
	Files(maxLength int) (map[string][]byte, error)
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
			if p.where(d) != train || share < 1 && draw(p.opts.Seed+1, d.Content) >= share {
				continue
			}
			for _, text := range d.Paragraphs {
				if !yield(text, nil) {
					return
				}
			}
		}
	}
}

// makeWordPiece trains a WordPiece vocabulary, or loads the one that the options
// name.
func makeWordPiece(ctx context.Context, opts PrepareOptions, text iter.Seq2[string, error]) (textTokenizer, error) {
	if opts.Tokenizer != "" {
		return wordpiece.Load(opts.Tokenizer)
	}
	vocab, err := wordpiece.Train(ctx, text, wordpiece.TrainOptions{
		VocabSize: opts.VocabSize,
		Lowercase: opts.Lowercase,
		Progress: func(done, total int) {
			opts.Progress(StageVocabulary, int64(done), int64(total))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("train vocabulary: %w", err)
	}
	return wordpiece.New(vocab, opts.Lowercase)
}
