package shells

import (
	"errors"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/coordinator"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/trials/toy"
	"github.com/gramme-project/gramme/worker"
)

// software is the build that everything in a trial is.
const software = "gramme trial"

func (c *cluster) runCoordinator(l *life) error {
	return coordinator.Run(l.ctx, coordinator.Config{
		ID: l.p.id, Host: "host", PID: l.pid, Spec: c.spec, CorpusDir: c.dir.Corpus(), Store: l.store,
		Bus: l.conn, Log: l.log, Software: software,
	})
}

func (c *cluster) runService(l *life) (err error) {
	s, err := checkpoint.Open(checkpoint.Config{
		ID: l.p.id, RunDir: string(c.dir), Spec: c.spec, Bus: l.conn, Log: l.log, Software: software, Disk: c.disk,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Run(l.ctx)
}

func (c *cluster) runWorker(l *life) error {
	initial, err := toy.Initial(c.rule)
	if err != nil {
		return err
	}
	return worker.Run(l.ctx, worker.Config{
		Registration: wire.Registration{
			ID: l.p.id, Host: "host", PID: l.pid, Build: buildinfo.Version, SpecHash: c.spec.Hash(),
			CorpusHash: c.corpus.Digest(), Fingerprint: "same",
		},
		Spec: c.spec, Layout: c.rule.Layout,
		Trainer: &trainer{l: l, weights: initial.Weights, gradient: make([]float32, c.rule.Layout.Total)},
		Batch: func(step uint64, index int) (sampler.Batch, error) {
			return sampler.Batch{IDs: []int64{int64(step) + 1, int64(index)}}, nil
		},
		Store: l.store, Bus: l.conn, Bulk: l.bulk, Links: links{l}, Meter: meter{}, Cores: 1, Log: l.log,
		Drain: l.drain, Expected: c.setup.compute,
		Hung: func(*worker.HungError) { l.p.c.post(func() { c.crash(l, false) }) },
	})
}

// trainer implements worker.Trainer.
type trainer struct {
	l                 *life
	weights, gradient []float32
}

func (t *trainer) Weights() []float32    { return t.weights }
func (t *trainer) Gradient() []float32   { return t.gradient }
func (t *trainer) WeightsChanged() error { return nil }

func (t *trainer) Compute(b sampler.Batch, _ uint64) (replica.Measured, error) {
	t.l.takes()
	step, index := uint64(b.IDs[0]), int(b.IDs[1])
	t.l.p.c.computes(t.l, step, index, t.weights)
	return toy.Gradient(t.l.p.c.rule, t.weights, step, index, t.gradient), nil
}

// meter implements worker.Meter.
type meter struct{}

func (meter) Phase(energy.Phase, uint64, uint64) {}
func (meter) Totals() (joules, watts float64)    { return 0, 0 }
