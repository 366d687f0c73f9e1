//go:build cgo

package main

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
)

// measureFor is how long each precision is measured at least, after a warm-up.
const measureFor = 1200 * time.Millisecond

func measureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "measure",
		Short: "measure how many micro-batches per second this machine computes",
		Args:  cobra.NoArgs,
	}
	file := c.Flags().String("spec", "", "`file` with the spec of a run")
	precisions := c.Flags().StringSlice("precision", []string{runspec.PrecisionF32}, "f32, bf16 or both")
	c.RunE = func(c *cobra.Command, _ []string) error {
		spec, err := runspec.Read(*file)
		if err != nil {
			return exit.Wrap(exit.Usage, "", err)
		}
		rates, err := measure(spec, *precisions)
		if err != nil {
			return err
		}
		return json.NewEncoder(c.OutOrStdout()).Encode(evaluation.Rates{MicroBatches: rates})
	}
	return c
}

// measure returns the micro-batches per second of each precision. They take turns, so
// that other load on the machine disturbs all alike, and the median of the rounds
// counts.
func measure(spec runspec.Spec, precisions []string) (rates map[string]number.Float, err error) {
	b := syntheticBatch(spec)
	took := map[string][]time.Duration{}
	engines := map[string]*engine{}
	defer func() {
		for _, e := range engines {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, p := range precisions {
		spec.Precision = p
		e, err := newEngine(spec, spec.VocabSize, spec.Threads, hung(nil))
		if err != nil {
			return nil, err
		}
		engines[p] = e
		if err := e.setWeights(model.Init(e.config, e.layout, spec.Seed)); err != nil {
			return nil, err
		}
	}
	begun := time.Now()
	for round := 0; round < 5 || time.Since(begun) < time.Duration(len(precisions))*measureFor; round++ {
		for _, p := range precisions {
			at := time.Now()
			e := engines[p]
			if err := e.do("batches", func() error { _, err := e.model.Compute(b, uint64(round)); return err }); err != nil {
				return nil, err
			}
			if round >= 2 {
				took[p] = append(took[p], time.Since(at))
			}
		}
	}
	rates = map[string]number.Float{}
	for p, list := range took {
		slices.Sort(list)
		rates[p] = number.Float(1 / list[len(list)/2].Seconds())
	}
	return rates, nil
}

// syntheticBatch is a full micro-batch of random tokens.
func syntheticBatch(spec runspec.Spec) sampler.Batch {
	r := rng.New(0x6d656173)
	rows, seq := spec.Batch.Rows, spec.MaxSeq
	b := sampler.Batch{Rows: rows, Seq: seq, Tokens: rows * seq}
	masked := max(1, min(spec.Masking.MaxPredictions, int(spec.Masking.Mean()*float64(seq))))
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
