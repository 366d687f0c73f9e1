package shard

import (
	"fmt"
	"io"

	"github.com/gramme-project/gramme/shard/wordpiece"
)

// Usual values of PrepareOptions.
const (
	DefaultVocabSize   = 8192
	DefaultMaxSeq      = 128
	DefaultShardTokens = 1 << 20
)

// vocabularyBytes bounds the text that a vocabulary is trained on; of a larger
// corpus a sample of documents, drawn by their content, is used.
const vocabularyBytes = 1 << 30

// Stages of a preparation, as Progress names them.
const (
	StageRead       = "read"       // bytes of the inputs; total 0 when unknown
	StageVocabulary = "vocabulary" // steps of the training
	StageTokenize   = "tokenize"   // bytes of text
)

// PrepareOptions are the inputs and settings of a preparation.
type PrepareOptions struct {
	// Inputs are files, folders and "-": see corpus.Read.
	Inputs []string
	// OutDir becomes the prepared folder. An older corpus in it is replaced at the
	// end, and stays if the preparation fails.
	OutDir string
	// VocabSize is the most tokens the vocabulary may have. A small corpus gives fewer.
	VocabSize int
	Lowercase bool
	// Tokenizer is a folder with a vocabulary to use instead of training one;
	// VocabSize and Lowercase are then its own.
	Tokenizer string
	// MaxSeq is the sequence length that chunks are packed for.
	MaxSeq int
	// ShardTokens is the size at which a shard is closed.
	ShardTokens int
	// Seed draws the split into train, validation and test.
	Seed uint64
	// KeepDuplicates keeps paragraphs that occurred before.
	KeepDuplicates bool
	// Stdin is the reader for the input "-"; nil means the process's own.
	Stdin io.Reader
	// Progress, if not nil, is called often, from one goroutine at a time.
	Progress func(stage string, done, total int64)
}

// Validate checks the options.
func (o PrepareOptions) Validate() error {
	switch {
	case o.OutDir == "":
		return fmt.Errorf("prepare: no output folder given")
	case o.VocabSize < wordpiece.MinVocabSize || o.VocabSize > 1<<20:
		return fmt.Errorf("prepare: vocabulary of %d tokens, want %d to %d", o.VocabSize, wordpiece.MinVocabSize, 1<<20)
	case o.MaxSeq < 8 || o.MaxSeq > 1<<15:
		return fmt.Errorf("prepare: sequence length %d, want 8 to 32768", o.MaxSeq)
	case o.ShardTokens < o.MaxSeq || o.ShardTokens > 1<<30:
		return fmt.Errorf("prepare: shards of %d tokens, want %d to %d", o.ShardTokens, o.MaxSeq, 1<<30)
	}
	return nil
}
