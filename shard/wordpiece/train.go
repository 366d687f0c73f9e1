package wordpiece

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// TrainOptions describes the vocabulary to train.
type TrainOptions struct {
	// VocabSize is the number of tokens at most, the five special ones included;
	// at least MinVocabSize.
	VocabSize int
	// Lowercase trains for a tokenizer that lowers case and strips accents.
	Lowercase bool
	// Progress, if not nil, is told now and then how many tokens the vocabulary
	// has, of VocabSize. It is called by Train's own goroutine.
	Progress func(done, total int)
}

const (
	// MinVocabSize has room for the special tokens and one character.
	MinVocabSize = 7
	// minFrequency is how often a pair must stand in the text to become a piece.
	minFrequency = 2
	// maxAlphabet is the number of characters, the most frequent ones, that
	// become pieces by themselves.
	maxAlphabet = 1000
	// maxWords is the number of distinct words that are held; see countWords.
	maxWords = 1 << 19
)

// Train returns the vocabulary of a text, for New: [PAD], [UNK], [CLS], [SEP] and
// [MASK], the characters in order, as the beginning and (with ##) as the rest of
// a word, then the pieces in the order in which they were found.
//
// The algorithm is that of Hugging Face's WordPieceTrainer: byte-pair encoding on
// characters, which joins the most frequent pair of neighbours within words until
// the vocabulary is full or no pair stands twice in the text. Of pairs as frequent
// it takes the one whose tokens were found first, so that the result depends on
// the text alone. A small text gives fewer tokens than asked for; a text without
// words is an error.
//
// Three things keep memory bounded, whatever the text: words over 100 characters,
// which are [UNK] anyway, do not count; of more than half a million distinct words
// the rarest are forgotten; and the alphabet is at most 1,000 characters, or what a
// smaller VocabSize has room for. Half a million words of ten letters each take
// about 300 MB.
//
// An error of the text ends the training and is returned as it is.
func Train(ctx context.Context, text iter.Seq2[string, error], opts TrainOptions) ([]string, error) {
	if opts.VocabSize < MinVocabSize {
		return nil, fmt.Errorf("a vocabulary of %d tokens: at least %d are needed", opts.VocabSize, MinVocabSize)
	}
	counts, err := countWords(ctx, text, opts.Lowercase, maxWords)
	if err != nil {
		return nil, err
	}
	if len(counts) == 0 {
		return nil, errors.New("there are no words in the text")
	}
	m := newMerger(counts, min(maxAlphabet, (opts.VocabSize-len(specialTokens()))/2))
	for len(m.vocab) < opts.VocabSize && m.merge(minFrequency) {
		if len(m.vocab)%64 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if opts.Progress != nil {
				opts.Progress(len(m.vocab), opts.VocabSize)
			}
		}
	}
	if opts.Progress != nil {
		opts.Progress(opts.VocabSize, opts.VocabSize)
	}
	return m.vocab, nil
}
