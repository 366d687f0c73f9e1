package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/corpus"
	"github.com/gramme-project/gramme/shard/wordpiece"
)

func prepareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prepare --out DIR [flags] input...",
		Short: "turn text into token shards with a vocabulary",
		Long: `Reads text, Markdown, HTML, JSONL and WikiExtractor output, plain or compressed, from
files, folders and standard input (-); cleans and de-duplicates it, splits it into
train, validation and test by content, trains a WordPiece vocabulary, and writes token
shards with a manifest. ` + "`gramme up`" + ` accepts the folder, or the text itself.`,
		Args: cobra.MinimumNArgs(1),
	}
	o := shard.PrepareOptions{}
	f := c.Flags()
	f.StringVar(&o.OutDir, "out", "", "`folder` to write")
	f.IntVar(&o.VocabSize, "vocab-size", shard.DefaultVocabSize, "maximum number of pieces in the vocabulary")
	f.BoolVar(&o.Lowercase, "lowercase", true, "lower-case the text and strip accents")
	f.StringVar(&o.Tokenizer, "tokenizer", "", "`folder` with a vocabulary to use instead of training one")
	f.IntVar(&o.MaxSeq, "max-seq", shard.DefaultMaxSeq, "tokens of a sequence, for which chunks are packed")
	f.IntVar(&o.ShardTokens, "shard-tokens", shard.DefaultShardTokens, "tokens of a shard")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the split")
	f.BoolVar(&o.KeepDuplicates, "keep-duplicates", false, "keep duplicate paragraphs")
	c.RunE = func(c *cobra.Command, args []string) error {
		if o.OutDir == "" {
			return exit.Wrap(exit.Usage, "`gramme prepare --out DIR text/`", errors.New("prepare: --out is missing"))
		}
		if err := o.Validate(); err != nil {
			return exit.Wrap(exit.Usage, "`gramme prepare --help` lists the flags", err)
		}
		if o.Tokenizer != "" {
			_, err := os.Stat(filepath.Join(o.Tokenizer, "vocab.txt"))
			if err == nil {
				_, err = wordpiece.Load(o.Tokenizer) // before the text is read, which may take long
			}
			if err != nil {
				return exit.Wrap(exit.Usage, "give --tokenizer a folder with a vocab.txt", fmt.Errorf("prepare: %w", err))
			}
		}
		ctx, stop := interruptible(c.Context())
		defer stop()
		o.Inputs, o.Stdin = args, c.InOrStdin()
		m, err := prepare(ctx, c.ErrOrStderr(), o)
		if err != nil {
			return err
		}
		describe(c.OutOrStdout(), m)
		return nil
	}
	return c
}

// prepare prepares a corpus and shows how far it is.
func prepare(ctx context.Context, w io.Writer, o shard.PrepareOptions) (shard.Manifest, error) {
	names := map[string][2]string{
		shard.StageRead:       {"reading text", "bytes"},
		shard.StageVocabulary: {"training the vocabulary", "steps"},
		shard.StageTokenize:   {"tokenizing", "bytes"},
	}
	var bar *progressBar
	at := ""
	o.Progress = func(stage string, done, total int64) {
		if stage != at {
			if bar != nil {
				bar.end()
			}
			at, bar = stage, newProgressBar(w, names[stage][0], names[stage][1])
		}
		bar.set(done, total)
	}
	m, err := shard.Prepare(ctx, o)
	if bar != nil {
		bar.end()
	}
	return m, badInput(err)
}

// badInput gives an error of the corpus its exit code.
func badInput(err error) error {
	if bad := (*corpus.InputError)(nil); errors.As(err, &bad) {
		return exit.Wrap(exit.Data, "give text: plain, Markdown, HTML or JSONL, as files or folders", err)
	}
	return err
}

// describe prints the size of a prepared corpus.
func describe(w io.Writer, m shard.Manifest) {
	p := m.Provenance
	fmt.Fprintf(w, "corpus: %s, %s, %s, vocabulary %d, unigram entropy %.2f nats",
		counted(p.Documents, "document"), counted(p.Sentences, "sentence"), counted(m.Splits.Train.Tokens, "train token"), m.VocabSize, float64(m.UnigramEntropyNats))
	if p.DuplicatesDropped > 0 {
		fmt.Fprintf(w, "; %s left out", counted(p.DuplicatesDropped, "duplicate paragraph"))
	}
	fmt.Fprintln(w)
}
