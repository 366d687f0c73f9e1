package worker

import (
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/devicecheck"
)

// deviceTrainer computes on a device: the weights and the gradient of its pureTrainer are
// there, and the host has others.
type deviceTrainer struct {
	*pureTrainer
	host, none []float32
}

func (t *deviceTrainer) Weights() []float32  { return t.host }
func (t *deviceTrainer) Gradient() []float32 { return t.none }

func (t *deviceTrainer) WeightsChanged() error {
	copy(t.pureTrainer.weights, t.host)
	return nil
}

func (t *deviceTrainer) Hold(r replica.Rule) (replica.Device, error) {
	return devicecheck.NewMemory(r, t.pureTrainer.weights, t.pureTrainer.gradient), nil
}

// startOnDevice starts a worker whose replica a device holds.
func (c *cluster) startOnDevice(id string) *running {
	return c.startWith(id, func(uint64, *pureTrainer) {}, func(cfg *Config) {
		pure := cfg.Trainer.(*pureTrainer)
		host := append([]float32(nil), pure.weights...)
		clear(pure.weights) // until WeightsChanged
		cfg.Trainer = &deviceTrainer{pure, host, make([]float32, len(host))}
	})
}

// TestReplicasOnDevices has workers on the host and on devices in one ring. Newcomers of either
// kind take the state of the other, and both send a slice of the last one.
func TestReplicasOnDevices(t *testing.T) { synctest.Test(t, replicasOnDevices) }

func replicasOnDevices(t *testing.T) {
	const steps = 60
	want := calm(t, steps)
	c := newCluster(t, steps)
	a, b := c.start("a"), c.startOnDevice("b")
	c.plan(1, "a", "b")
	c.reached("a", 8)
	a.cancel() // as if killed: the device has the only replica
	<-a.ended
	c.plan(2, "b")
	c.reached("b", 14)
	d, e := c.start("d"), c.startOnDevice("e")
	c.plan(3, "b", "d", "e")
	c.reached("e", 22)
	close(b.drain)
	c.until("d", func(b wire.Beat) bool { return b.State == wire.WorkerHolding })
	c.plan(4, "d", "e") // d describes the state, e sends a slice
	b.end(t, ErrDrained)
	d.end(t, nil)
	e.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed on the host with %s", got, want)
	}
}
