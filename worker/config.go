package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// Trainer computes gradients. Compute and WeightsChanged never run at the same time;
// Weights changes only while no Compute runs.
type Trainer interface {
	// Weights returns the flat buffer of the weights.
	Weights() []float32
	// WeightsChanged is called after a change of Weights.
	WeightsChanged() error
	// Gradient returns the flat buffer that Compute fills.
	Gradient() []float32
	// Compute fills Gradient with the gradient of one micro-batch. The seed determines its
	// dropout.
	Compute(b sampler.Batch, dropoutSeed uint64) (replica.Measured, error)
}

// DeviceTrainer is a Trainer that may keep weights and gradients in the memory of a device.
type DeviceTrainer interface {
	Trainer
	// Hold returns the device that is to hold the replica, or nil if the host is. From then on
	// Compute leaves the gradient there, and Weights are those of the newest WeightsChanged.
	Hold(r replica.Rule) (replica.Device, error)
}

// hold returns the device that holds the replica, nil for the host.
func hold(t Trainer, r replica.Rule) (replica.Device, error) {
	if d, ok := t.(DeviceTrainer); ok {
		return d.Hold(r)
	}
	return nil, nil
}

// lend gives the replica two buffers for entries which its device copies from quickly: that of
// the newest step and that of the next.
func lend(r *pin.Replica, d replica.Device, words int) error {
	var buffers [2][]int32
	for i := range buffers {
		var err error
		if buffers[i], err = d.Words(words); err != nil {
			return err
		}
	}
	r.Lend(buffers[:])
	return nil
}

// Links connects a member of a generation with its neighbours in the ring.
type Links interface {
	Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error)
	// URL is where the previous rank reaches this worker.
	URL() string
}

// Meter books the energy of this process under the phase that it is told.
type Meter interface {
	Phase(p energy.Phase, generation, step uint64)
	Totals() (joules, watts float64)
}

// Config is what a worker needs. All fields are required unless stated otherwise.
type Config struct {
	Registration wire.Registration // complete except Mailbox, Incarnation, Step, Speed, Draining
	Spec         runspec.Spec
	Layout       model.Layout
	Trainer      Trainer
	Batch        func(step uint64, index int) (sampler.Batch, error) // the sampler's; steps from 0
	Store        membership.Store
	Bus          bus.Conn
	// Bulk is a separate connection for large objects, so that heartbeats do not wait behind
	// them on a slow link. Optional: nil is Bus.
	Bulk  bus.Conn
	Links Links
	// Route finds out how frames can go between this worker and those of some mailboxes:
	// wire.RingBroker, or "" for direct. It does not wait for mailboxes that gone names.
	// Optional: nil is direct.
	Route func(ctx context.Context, mailboxes []string, gone <-chan string) (string, error)
	Meter Meter
	Cores int // goroutines for sums and updates
	Log   *zap.Logger
	Drain <-chan struct{} // closed: leave after the next step
	// Stays lets a refused worker wait until the run admits it. Otherwise it ends with a
	// RefusedError, unless it was a member before.
	Stays bool
	// Expected is about how long a micro-batch takes; 0: unknown.
	Expected time.Duration
	// Hung is called when a computation hangs, after the others were told. It should end the
	// process: nothing else ends the computation, and Run would wait for it. Optional.
	Hung func(*HungError)
}

// leaseTTL is how long a worker that vanished stays registered.
func (c Config) leaseTTL() time.Duration {
	return max(5*time.Second, 3*c.Spec.FailureTimeout).Round(time.Second)
}

// answerTimeout bounds one request for a piece. A donor that is slower is passed over.
func (c Config) answerTimeout() time.Duration { return 10 * c.Spec.Patience() }

// bulk is the connection for large objects.
func (c Config) bulk() bus.Conn {
	if c.Bulk != nil {
		return c.Bulk
	}
	return c.Bus
}

// closeTimeout bounds the attempt to unregister: the lease ends by itself.
func (c Config) closeTimeout() time.Duration { return 2 * c.Spec.Patience() }

// The kinds of computation that a watchdog guards.
const (
	microBatches = "micro-batches"
	updates      = "updates"
	sums         = "sums" // on a device
)

func (c Config) limits(kind string) step.Limits {
	if kind == microBatches {
		return step.ComputeLimits(c.Spec.Patience(), c.Expected, c.Spec.ComputeTimeout)
	}
	return step.UpdateLimits(c.Spec.Patience())
}

func (c Config) validate() error {
	switch {
	case c.Trainer == nil, c.Batch == nil, c.Store == nil, c.Bus == nil, c.Links == nil, c.Meter == nil, c.Log == nil:
		return errors.New("worker: incomplete configuration")
	case len(c.Trainer.Weights()) != c.Layout.Total, len(c.Trainer.Gradient()) != c.Layout.Total:
		return fmt.Errorf("worker: the model has %d weights and %d gradients, the layout %d",
			len(c.Trainer.Weights()), len(c.Trainer.Gradient()), c.Layout.Total)
	}
	return c.Spec.Complete()
}
