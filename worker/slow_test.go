package worker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// decides lets a roster write the plans of some workers, and returns those written
// until the test ends.
func (c *cluster) decides(least, most int) <-chan wire.Plan {
	c.t.Helper()
	r := roster.New(roster.Config{
		Workers: runspec.Workers{Min: least, Max: most}, MicroBatches: c.spec.Batch.MicroBatches, Steps: c.spec.Steps, FailureTimeout: c.spec.FailureTimeout,
	})
	ctx := c.t.Context()
	workers, err := c.store.WatchWorkers(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	beats, _, err := bus.Channel(c.dial(), 1024, "", wire.SubjectsOf("test").Beats()) // until the connection ends
	if err != nil {
		c.t.Fatal(err)
	}
	suspicions := c.suspicions()
	plans := make(chan wire.Plan, 64)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	c.t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(c.spec.FailureTimeout / 8)
		defer tick.Stop()
		events := []roster.Event{roster.Elected{Nonce: "n"}}
		for {
			for len(events) > 0 {
				for _, f := range r.Handle(time.Now(), events[0]) {
					if w, ok := f.(roster.WritePlan); ok {
						if err := c.lead.PutPlan(ctx, w.Plan); err != nil {
							c.t.Errorf("plan %d: %v", w.Plan.Generation, err)
							return
						}
						plans <- w.Plan
						events = append(events, roster.PlanWritten{})
					}
				}
				events = events[1:]
			}
			select {
			case <-ctx.Done():
				return
			case all := <-workers:
				events = append(events, roster.Registered{All: all})
			case m := <-beats:
				var b wire.Beat
				if err := wire.Decode(m.Data, &b); err != nil {
					c.t.Errorf("heartbeat: %v", err)
				}
				events = append(events, roster.Beat{Beat: b})
			case s := <-suspicions:
				events = append(events, roster.Suspected{Suspicion: s})
			case <-tick.C:
				events = append(events, roster.Tick{})
			}
		}
	}()
	return plans
}

// TestASlowWorkerComputesLess lets one of three workers be slow from some step on.
// It stays, computes fewer micro-batches, and the run ends as it would have.
func TestASlowWorkerComputesLess(t *testing.T) { synctest.Test(t, aSlowWorkerComputesLess) }

func aSlowWorkerComputesLess(t *testing.T) {
	const steps, slowFrom = 80, 5
	want := calm(t, steps)
	c := newCluster(t, steps)
	plans := c.decides(3, 3)
	all := []*running{c.start("a"), c.start("b"), c.startWith("c", func(step uint64, _ *pureTrainer) {
		if step >= slowFrom {
			time.Sleep(60 * time.Millisecond)
		}
	})}
	for _, w := range all {
		w.end(t, nil)
	}
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
	if len(plans) < 2 {
		t.Fatalf("%d plans: none followed the speeds", len(plans))
	}
	first, next := <-plans, <-plans
	share := func(p wire.Plan) int {
		for _, m := range p.Members {
			if m.ID == "c" {
				return m.Share
			}
		}
		return 0
	}
	if share(first) != 2 || share(next) != 1 || len(next.Members) != 3 || !strings.HasPrefix(next.Reason, "c computes at 0.") {
		t.Errorf("first %+v, then %+v", first, next)
	}
}
