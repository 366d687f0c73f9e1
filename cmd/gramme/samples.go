package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/shard/wordpiece"
)

// samplesCommand lets other programs train and measure on a corpus as workers do. It is
// hidden, because benchmarks and experiments are its only users.
func samplesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "samples --out DIR [flags] corpus",
		Short: "write the samples of a prepared corpus as arrays of NumPy",
		Long: `Writes samples of a prepared corpus, [CLS] A [SEP] B [SEP] and padding, as files that
numpy.load reads: ids.npy and types.npy of shape (samples, max-seq), and next.npy, which
is 1 where B is a random segment. Of the train split they are one epoch in the order of
the seed, with no masks. Of another split they are what every evaluation measures, with
the same masks, and labels.npy has the tokens to predict, and -100 elsewhere.`,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
	}
	out := c.Flags().String("out", "", "`folder` to write")
	split := c.Flags().String("split", "train", "train, validation or test")
	seed := c.Flags().Uint64("seed", 1, "seed of the order and the pairs of the train split")
	most := c.Flags().Int("batches", 64, "of an evaluation: maximum number of batches of 16 sequences")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *out == "" {
			return exit.Wrap(exit.Usage, "name a folder with --out", errors.New("samples: --out is missing"))
		}
		ctx, stop := interruptible(c.Context())
		defer stop()
		m, err := shard.OpenManifest(args[0])
		if err != nil {
			return exit.Wrap(exit.Usage, "`gramme prepare --out DIR text/` makes one", err)
		}
		cfg := sampler.EvaluationConfig(*split, m.MaxSeq, sampleWindow, *most)
		draw := sampler.NewEvaluation
		if *split == "train" {
			cfg.Seed = *seed
			draw = epoch
		}
		a, err := samples(ctx, args[0], m, cfg, draw)
		if err != nil {
			return fmt.Errorf("samples of %s: %w", args[0], err)
		}
		return a.write(*out, *split != "train")
	}
	return c
}

// sampleWindow is the default of data.window.
const sampleWindow = 4

// epoch makes a sampler of unmasked samples: Batch(0, i) for i below the returned number
// gives one epoch, but for the rows that fill no batch.
func epoch(cfg sampler.Config, m shard.Manifest, v *sampler.Vocabulary, load func(i int) (*shard.Shard, error)) (*sampler.Sampler, int, error) {
	cfg.MicroBatches = max(1, int(m.Splits.Train.Chunks)/cfg.Rows)
	s, err := sampler.New(cfg, m, v, load)
	return s, cfg.MicroBatches, err
}

// arrays are the samples in row-major order.
type arrays struct {
	rows, seq   int
	ids, labels []int32 // rows × seq, ids after masking; labels are -100 where nothing is to predict
	types       []byte  // rows × seq
	next        []byte  // rows
}

func samples(ctx context.Context, dir string, m shard.Manifest, cfg sampler.Config,
	draw func(sampler.Config, shard.Manifest, *sampler.Vocabulary, func(int) (*shard.Shard, error)) (*sampler.Sampler, int, error),
) (*arrays, error) {
	split, err := m.Split(cfg.Split)
	if err != nil {
		return nil, exit.Wrap(exit.Usage, "", err)
	}
	t, err := wordpiece.Load(dir)
	if err != nil {
		return nil, err
	}
	v, err := sampler.NewVocabulary(t.Vocab())
	if err != nil {
		return nil, err
	}
	s, batches, err := draw(cfg, m, v, shard.Loader(ctx, shard.Dir(dir), split))
	if err != nil {
		return nil, err
	}
	a := &arrays{seq: cfg.Seq}
	for i := range batches {
		b, err := s.Batch(0, i)
		if err != nil {
			return nil, err
		}
		a.add(b)
	}
	return a, nil
}

func (a *arrays) add(b sampler.Batch) {
	base := len(a.ids)
	for i, id := range b.IDs {
		a.ids = append(a.ids, int32(id))
		a.labels = append(a.labels, -100)
		a.types = append(a.types, byte(b.Types[i]))
	}
	for i, p := range b.Positions {
		a.labels[base+int(p)] = int32(b.Labels[i])
	}
	for _, n := range b.Next {
		a.next = append(a.next, byte(n))
	}
	a.rows += b.Rows
}

// write writes the arrays: as they were masked, or the tokens before.
func (a *arrays) write(dir string, masked bool) error {
	files := []npy{
		{"types.npy", a.types, []int{a.rows, a.seq}},
		{"next.npy", a.next, []int{a.rows}},
	}
	if masked {
		files = append(files, npy{"labels.npy", a.labels, []int{a.rows, a.seq}})
	} else {
		for i, label := range a.labels {
			if label >= 0 {
				a.ids[i] = label
			}
		}
	}
	files = append(files, npy{"ids.npy", a.ids, []int{a.rows, a.seq}}) // last: who finds it finds all
	for _, f := range files {
		if err := writeFile(nil, filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	return nil
}
