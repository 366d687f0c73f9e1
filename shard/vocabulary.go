package shard

import (
	"context"
	"fmt"
	"iter"

	"github.com/gramme-project/gramme/shard/wordpiece"
)

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
