//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker"
	"github.com/gramme-project/gramme/worker/bert"
	"github.com/gramme-project/gramme/worker/step"
	"github.com/gramme-project/gramme/worker/torch"
)

// engine is a model on the one OS thread that may touch it. It is the
// worker.Trainer of this binary.
type engine struct {
	thread *torch.Thread
	model  *bert.Model
	layout model.Layout
	config model.Config
	ended  chan error
	cancel context.CancelFunc
	dog    *worker.Watchdog
}

// stillFor is how long an operation of a model apart from training may take while it
// uses hardly any processor: the first loading of libraries and kernels reads a lot. A
// process that uses the processor has longer.
const stillFor = 2 * time.Minute

func limits(string) step.Limits {
	return step.Limits{Least: stillFor, First: stillFor, Stopping: stillFor}
}

// newEngine builds the model of a spec with a vocabulary of a known size, for a number
// of threads. Its weights are zero. If an operation does not return, it calls hung,
// which ends the process.
func newEngine(spec runspec.Spec, vocab, threads int, hung func(error)) (*engine, error) {
	c := spec.ModelConfig(vocab)
	return openEngine(c, model.NewLayout(c), bert.Options{Device: spec.Device, Precision: spec.Precision, Threads: threads}, hung)
}

func openEngine(c model.Config, l model.Layout, o bert.Options, hung func(error)) (*engine, error) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &engine{thread: torch.NewThread(), layout: l, config: c, ended: make(chan error, 1), cancel: cancel, dog: worker.NewWatchdog(limits)}
	go func() { e.ended <- e.thread.Run(ctx) }()
	go func() { // ends with ctx
		if err := e.dog.Run(ctx); err != nil {
			hung(err)
		}
	}()
	err := e.do("builds", func() (err error) {
		e.model, err = bert.New(c, l, o)
		return err
	})
	if err != nil {
		cancel()
		<-e.ended
		err = fmt.Errorf("build the model: %w", err)
		if o.Device == runspec.DeviceCUDA {
			err = exit.Wrap(exit.Resource, cudaHint, err)
		}
		return nil, err
	}
	return e, nil
}

// do runs f on the thread; the watchdog reports it if it does not return.
func (e *engine) do(kind string, f func() error) error {
	return e.dog.Guard(kind, func() error { return e.thread.Do(f) })
}

// Close frees the model and ends the thread.
func (e *engine) Close() error {
	err := e.do("ends", e.model.Close)
	e.cancel()
	if ended := <-e.ended; !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	return err
}

func (e *engine) Weights() []float32  { return e.model.Weights() }
func (e *engine) Gradient() []float32 { return e.model.Gradient() }

// setWeights replaces all weights.
func (e *engine) setWeights(w []float32) error {
	copy(e.Weights(), w)
	return e.WeightsChanged()
}

func (e *engine) WeightsChanged() error { return e.do("updates", e.model.WeightsChanged) }

// Compute has no time limit here: the caller, which trains, knows how long it may take.
func (e *engine) Compute(b sampler.Batch, seed uint64) (m replica.Measured, err error) {
	err = e.thread.Do(func() (err error) {
		m, err = e.model.Compute(b, seed)
		return err
	})
	return m, err
}

func (e *engine) Evaluate(b sampler.Batch) (m replica.Measured, err error) {
	err = e.do("batches", func() (err error) {
		m, err = e.model.Evaluate(b)
		return err
	})
	return m, err
}

// Hold lets the device of the model hold the replica, unless that is the host.
func (e *engine) Hold(r replica.Rule) (replica.Device, error) {
	var held *torch.Replica
	err := e.do("builds", func() (err error) {
		held, err = e.model.Hold(r)
		return err
	})
	if err != nil || held == nil {
		return nil, err
	}
	return onThread{held, e.thread}, nil
}

// fingerprint is the hash of this machine's arithmetic on this model.
func (e *engine) fingerprint() (f string, err error) {
	err = e.do("fingerprints", func() (err error) {
		f, err = bert.Fingerprint(e.model)
		return err
	})
	return f, err
}
