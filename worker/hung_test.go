package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/worker/step"
)

// TestAComputationThatDoesNotReturn has one of two workers hang in a micro-batch while
// its heartbeats go on. It says so, the other takes over, and the run ends with what an
// undisturbed one ends with.
func TestAComputationThatDoesNotReturn(t *testing.T) { synctest.Test(t, aComputationThatDoesNotReturn) }

func aComputationThatDoesNotReturn(t *testing.T) {
	const steps, from = 6, 3
	want := calm(t, steps)
	c := newCluster(t, steps)
	c.spec.ComputeTimeout = time.Hour // of the one that is well
	said, plans := c.suspicions(), c.decides(1, 2)
	release, told := make(chan struct{}), make(chan *HungError, 1)
	well := c.start("a")
	hangs := c.startWith("b", func(step uint64, _ *pureTrainer) {
		if step >= from {
			<-release
		}
	}, func(cfg *Config) {
		cfg.Spec.ComputeTimeout = time.Second
		cfg.Hung = func(e *HungError) { told <- e }
	})
	well.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
	evidence := (<-told).Evidence
	if !strings.HasPrefix(evidence, "its computation did not return for ") {
		t.Errorf("evidence %q", evidence)
	}
	close(release)
	var hung *HungError
	if err := <-hangs.ended; !errors.As(err, &hung) {
		t.Errorf("the one that hung ended with %v", err)
	}
	var reasons []string
	for len(plans) > 0 {
		reasons = append(reasons, (<-plans).Reason)
	}
	if !slices.Contains(reasons, "b is gone: "+evidence) {
		t.Errorf("plans for %q, none for %q", reasons, evidence)
	}
	itself := false
	for len(said) > 0 {
		s := <-said
		itself = itself || s.From == "b" && s.Subject == "b" && s.Hung && s.Final
	}
	if !itself {
		t.Error("it did not say that it hangs")
	}
}

// TestALoneWorkerThatHangs has a worker without others hang, long before a checkpoint is due.
// In a gradient, it hands over what it has applied; in an update, it does not.
func TestALoneWorkerThatHangs(t *testing.T) {
	for what, stored := range map[string]uint64{"gradient": 3, "update": 0} {
		t.Run(what, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { aLoneWorkerThatHangs(t, what, stored) }) })
	}
}

// hangingUpdate is a trainer whose updates hang, but for the first few.
type hangingUpdate struct {
	Trainer
	well    int
	release chan struct{}
}

func (t *hangingUpdate) WeightsChanged() error {
	if t.well--; t.well < 0 {
		<-t.release
	}
	return nil
}

func aLoneWorkerThatHangs(t *testing.T, what string, stored uint64) {
	const steps = 6
	want := calm(t, steps)
	c := newCluster(t, steps)
	release, told := make(chan struct{}), make(chan *HungError, 1)
	w := c.startWith("a", func(step uint64, _ *pureTrainer) {
		if step >= 3 && what == "gradient" {
			<-release
		}
	}, func(cfg *Config) {
		cfg.Spec.ComputeTimeout = time.Second
		if what == "update" {
			cfg.Trainer = &hangingUpdate{cfg.Trainer, 3, release}
		}
		cfg.Hung = func(e *HungError) { told <- e }
	})
	c.plan(1, "a")
	<-told
	c.mu.Lock()
	if c.stored != stored {
		t.Errorf("step %d is stored when the process ends, not %d", c.stored, stored)
	}
	c.mu.Unlock()
	close(release)
	var hung *HungError
	if err := <-w.ended; !errors.As(err, &hung) {
		t.Errorf("it ends with %v", err)
	}
	next := c.start("a")
	c.plan(2, "a")
	next.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("the next one ends with %s, undisturbed with %s", got, want)
	}
}

// TestGuard has something hang beside something of another kind that returns.
func TestGuard(t *testing.T) { synctest.Test(t, guard) }

func guard(t *testing.T) {
	d := NewWatchdog(func(string) step.Limits { return step.Limits{Fixed: time.Second} })
	release, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- d.Guard("kernels", func() error { <-release; return nil })
	}()
	failed := errors.New("it fails")
	if err := d.Guard("copies", func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("what is guarded fails with %v", err)
	}
	var hung *HungError
	if err := d.Run(t.Context()); !errors.As(err, &hung) || !strings.HasSuffix(hung.Evidence, "(it is the first of its kernels)") {
		t.Errorf("found %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("nothing hangs any more: %v", err)
	}
}
