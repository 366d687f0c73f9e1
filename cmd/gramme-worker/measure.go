//go:build cgo

package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/model"
	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
)

// measureFor is how long a measurement lasts at least, after two warm-up rounds.
const measureFor = 1500 * time.Millisecond

func measureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "measure",
		Short: "measure how many micro-batches a second this machine computes",
		Args:  cobra.NoArgs,
	}
	file := c.Flags().String("spec", "", "`file` with the spec of a run")
	precision := c.Flags().String("precision", runspec.PrecisionF32, "f32 or bf16")
	c.RunE = func(c *cobra.Command, _ []string) error {
		spec, err := runspec.Read(*file)
		if err != nil {
			return exit.Wrap(exit.Usage, "", err)
		}
		spec.Precision = *precision
		rate, err := measure(spec)
		if err != nil {
			return err
		}
		return json.NewEncoder(c.OutOrStdout()).Encode(map[string]float64{
			"micro_batches_per_second": rate,
			"tokens_per_second":        rate * float64(spec.Batch.Rows*spec.MaxSeq),
		})
	}
	return c
}

func measure(spec runspec.Spec) (rate float64, err error) {
	e, err := newEngine(spec, spec.VocabSize)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closed := e.Close(); err == nil {
			err = closed
		}
	}()
	if err := e.setWeights(model.Init(e.config, e.layout, spec.Seed)); err != nil {
		return 0, err
	}
	b := syntheticBatch(spec)
	rounds := 0
	var begun time.Time
	for i := 0; i < 4 || time.Since(begun) < measureFor; i++ {
		if i == 2 {
			begun = time.Now()
		}
		if _, err := e.Compute(b, uint64(i)); err != nil {
			return 0, err
		}
		if i >= 2 {
			rounds++
		}
	}
	return float64(rounds) / time.Since(begun).Seconds(), nil
}

// syntheticBatch is a full micro-batch of random tokens.
func syntheticBatch(spec runspec.Spec) sampler.Batch {
	r := rng.New(0x6d656173)
	rows, seq := spec.Batch.Rows, spec.MaxSeq
	b := sampler.Batch{Rows: rows, Seq: seq, Tokens: rows * seq}
	masked := max(1, min(spec.Masking.MaxPredictions, int(spec.Masking.Probability*float64(seq))))
	for row := range rows {
		for i := range seq {
			b.IDs = append(b.IDs, int64(r.IntN(spec.VocabSize)))
			b.Types = append(b.Types, int64(2*i/seq))
			b.Mask = append(b.Mask, 1)
			if i < masked {
				b.Positions = append(b.Positions, int64(row*seq+i))
				b.Labels = append(b.Labels, int64(r.IntN(spec.VocabSize)))
			}
		}
		b.Next = append(b.Next, int64(r.IntN(2)))
	}
	return b
}
