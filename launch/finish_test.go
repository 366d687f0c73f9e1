package launch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestServiceDiesAtTheEnd kills a service when the training is over, and just
// before: the run ends as if nothing had been.
func TestServiceDiesAtTheEnd(t *testing.T) {
	for _, id := range []string{wire.IDCoordinator, wire.IDCheckpoint} {
		for _, when := range []string{"with the last worker", "meanwhile"} {
			t.Run(id+" "+when, func(t *testing.T) {
				t.Parallel()
				x := newTrial(t)
				last := 0
				x.options.Last = func(context.Context, []string) error {
					last++
					if when == "meanwhile" {
						x.killed(id)
						x.until(id+" is started again", func() bool { return len(x.pids(id)) == 2 })
					}
					return nil
				}
				x.begin()
				x.status(wire.Status{State: wire.StateDone, Step: 3})
				if when != "meanwhile" {
					x.killed(id)
				}
				x.stored()
				if err := x.end(); err != nil {
					t.Error(err)
				}
				if last != 1 || len(x.pids(id)) != 2 {
					t.Errorf("%d last calls; starts of the service: %v", last, x.pids(id))
				}
				if !strings.Contains(x.read("readings"), `"worker":"up"`) {
					t.Errorf("no readings of this process came: %s", x.read("readings"))
				}
			})
		}
	}
}

// TestInterruptAfterTheLastStep asks for the end while the last call is made.
func TestInterruptAfterTheLastStep(t *testing.T) {
	for _, twice := range []bool{false, true} {
		x := newTrial(t)
		x.options.Last = func(ctx context.Context, _ []string) error {
			if twice {
				close(x.kill)
			} else {
				close(x.stop)
			}
			select {
			case <-ctx.Done():
			case <-time.After(patience):
				t.Error("it goes on")
			}
			return ctx.Err()
		}
		x.begin()
		x.stored()
		if err := x.end(); twice != errors.Is(err, ErrKilled) || !twice && err != nil {
			t.Errorf("twice %v: %v", twice, err)
		}
	}
}

// TestNoLastCallAfterAStop asks for the end in the last step.
func TestNoLastCallAfterAStop(t *testing.T) {
	x := newTrial(t)
	x.options.Last = func(context.Context, []string) error {
		t.Error("the last call is made")
		return nil
	}
	x.begin()
	close(x.stop)
	x.until("the stop is told", func() bool { return x.read("told") != "" })
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// TestWorkerThatHangsAfterTheEndIsKilled has one that does not end when the run is done.
func TestWorkerThatHangsAfterTheEndIsKilled(t *testing.T) {
	x := newTrial(t)
	x.options.straggle = 500 * time.Millisecond
	x.begin()
	x.status(wire.Status{State: wire.StateDone, Step: 3, Checkpoint: 3})
	x.until("it is killed, and another comes", func() bool { return len(x.pids("w1")) == 2 })
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// TestDeafServiceIsKilled asks twice for the end of one that does not end.
func TestDeafServiceIsKilled(t *testing.T) {
	x := newTrial(t)
	if err := x.write(wire.IDCheckpoint+".deaf", "yes"); err != nil {
		t.Fatal(err)
	}
	x.begin()
	x.stored()
	x.until("it is asked to end", func() bool { return x.read("asked") != "" })
	close(x.kill)
	if err := x.end(); !errors.Is(err, ErrKilled) {
		t.Error(err)
	}
}
