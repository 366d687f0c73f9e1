//go:build cgo

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
)

const (
	// measureFor is how long each precision is measured at least.
	measureFor = time.Second
	// measureRounds is how often each precision is measured at least, besides the first
	// time, which makes room and compiles.
	measureRounds = 4
)

func measureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "measure",
		Short: "measure how many micro-batches per second a worker computes on this machine",
		Args:  cobra.NoArgs,
	}
	file := c.Flags().String("spec", "", "`file` with the spec of a run")
	precisions := c.Flags().StringSlice("precision", []string{runspec.PrecisionF32}, "f32, bf16 or both")
	threads := c.Flags().Int("threads", 0, "compute threads; default: as many as the spec says")
	c.RunE = func(c *cobra.Command, _ []string) error {
		spec, err := runspec.Read(*file)
		if err != nil {
			return exit.Wrap(exit.Usage, "", err)
		}
		if *threads > 0 {
			spec.Threads = *threads
		}
		rates, err := measure(spec, *precisions)
		if err != nil {
			return fmt.Errorf("measure: %w", err)
		}
		return json.NewEncoder(c.OutOrStdout()).Encode(rates)
	}
	return c
}

// timings are how long the parts of a step took in one precision.
type timings struct{ batches, updates []time.Duration }

// measure times what a worker does in a step, except the exchange. The precisions take
// turns, so that other load on the machine disturbs all alike.
func measure(spec runspec.Spec, precisions []string) (rates evaluation.Rates, err error) {
	w, err := newMeasuredWorker(spec)
	if err != nil {
		return rates, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for _, p := range precisions {
		if err := w.open(p); err != nil {
			return rates, err
		}
	}
	took := map[string]*timings{}
	begun := time.Now()
	for round := 0; round <= measureRounds || time.Since(begun) < time.Duration(len(precisions))*measureFor; round++ {
		for _, p := range precisions {
			batch, update, err := w.step(p, uint64(round))
			if err != nil {
				return rates, err
			}
			if round == 0 {
				took[p] = &timings{}
				continue
			}
			took[p].batches, took[p].updates = append(took[p].batches, batch), append(took[p].updates, update)
		}
	}
	rates = evaluation.Rates{MicroBatchSeconds: map[string]number.Float{}, UpdateSeconds: map[string]number.Float{}, AnyThreads: true}
	for p, t := range took {
		rates.AnyThreads = rates.AnyThreads && w.models[p].model.AnyThreads()
		slices.Sort(t.batches)
		slices.Sort(t.updates)
		rates.MicroBatchSeconds[p], rates.UpdateSeconds[p] = undisturbed(t.batches), undisturbed(t.updates)
	}
	return rates, nil
}

// undisturbed returns the seconds that a computation takes where nothing else disturbs it:
// the longest of the quickest quarter. The very quickest may be of a moment in which the
// other workers, with which it shares caches and memory, stood still. The list is sorted.
func undisturbed(took []time.Duration) number.Float {
	return number.Float(took[(len(took)-1)/4].Seconds())
}

// measuredWorker is a worker of a run without others, with a model for each precision.
type measuredWorker struct {
	spec    runspec.Spec
	rule    replica.Rule
	batch   sampler.Batch
	sum     *replica.Accumulator
	applier *replica.Applier
	models  map[string]trained
}

// trained is a model and the state whose weights it holds.
type trained struct {
	*engine
	state *replica.State
}

func newMeasuredWorker(spec runspec.Spec) (*measuredWorker, error) {
	spec.Steps = 1
	rule := spec.Rule(model.NewLayout(spec.ModelConfig(spec.VocabSize)))
	rule.MicroBatches = 1 // the update costs the same
	cores := min(spec.Threads, runtime.NumCPU())
	applier, err := replica.NewApplier(rule, cores)
	if err != nil {
		return nil, err
	}
	return &measuredWorker{spec, rule, syntheticBatch(spec), replica.NewAccumulator(rule, cores), applier, map[string]trained{}}, nil
}

// open makes the model of a precision.
func (w *measuredWorker) open(precision string) error {
	w.spec.Precision = precision
	e, err := newEngine(w.spec, w.spec.VocabSize, w.spec.Threads, hung(nil))
	if err != nil {
		return err
	}
	state, err := replica.NewState(w.rule, e.Weights())
	w.models[precision] = trained{e, state} // to be closed in any case
	if err != nil {
		return err
	}
	return e.setWeights(model.Init(e.config, e.layout, w.spec.Seed))
}

func (w *measuredWorker) close() (err error) {
	for _, m := range w.models {
		err = errors.Join(err, m.Close())
	}
	return err
}

// step computes a micro-batch, sums it, and makes an update.
func (w *measuredWorker) step(precision string, seed uint64) (batch, update time.Duration, err error) {
	m := w.models[precision]
	m.state.Step = 0 // the rule has one step
	w.sum.Reset(m.state)
	begun := time.Now()
	var result replica.Measured
	err = m.do("batches", func() (err error) {
		result, err = m.model.Compute(w.batch, seed)
		return err
	})
	if err == nil {
		err = w.sum.Add(0, m.Gradient(), result)
	}
	if err != nil {
		return 0, 0, err
	}
	batch = time.Since(begun)
	begun = time.Now()
	if _, err = w.applier.Apply(m.state, w.sum.Entry()); err != nil {
		return 0, 0, err
	}
	err = m.WeightsChanged()
	return batch, time.Since(begun), err
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
