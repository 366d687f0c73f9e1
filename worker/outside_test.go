package worker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// registered waits for a registration of a worker that is not one of some
// incarnations.
func (c *cluster) registered(id string, not ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	regs, err := c.store.WatchWorkers(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	for all := range regs {
		for _, r := range all {
			if r.ID == id && !slices.Contains(not, r.Incarnation) {
				return r.Incarnation
			}
		}
	}
	c.t.Fatalf("%s does not register", id)
	return ""
}

// TestAWorkerThatWasEvictedJoinsAgain is about one that was a member without ever
// seeing the plan, and was let go: no plan tells it that it is outside.
func TestAWorkerThatWasEvictedJoinsAgain(t *testing.T) {
	synctest.Test(t, aWorkerThatWasEvictedJoinsAgain)
}

func aWorkerThatWasEvictedJoinsAgain(t *testing.T) {
	c := newCluster(t, 4)
	w := c.start("a")
	first := c.registered("a")
	if err := c.lead.Evict(t.Context(), "a", first); err != nil {
		t.Fatal(err)
	}
	c.registered("a", first)
	c.plan(1, "a")
	w.end(t, nil)
}

// TestAStopDoesNotHideThatAWorkerIsToLeave has one that came when the others
// stopped.
func TestAStopDoesNotHideThatAWorkerIsToLeave(t *testing.T) {
	synctest.Test(t, aStopDoesNotHideThatAWorkerIsToLeave)
}

func aStopDoesNotHideThatAWorkerIsToLeave(t *testing.T) {
	c := newCluster(t, 4)
	w := c.start("late")
	in := c.registered("late")
	if err := c.lead.PutIntent(t.Context(), wire.Intent{Stop: true, Drain: []string{in}}); err != nil {
		t.Fatal(err)
	}
	w.end(t, ErrDrained)
}

// TestAWithdrawnStopStopsNoWorker has a worker that learned of a stop while it was
// in no ring.
func TestAWithdrawnStopStopsNoWorker(t *testing.T) {
	synctest.Test(t, aWithdrawnStopStopsNoWorker)
}

func aWithdrawnStopStopsNoWorker(t *testing.T) {
	c := newCluster(t, 40)
	w := c.start("a")
	c.registered("a")
	for _, stop := range []bool{true, false} {
		if err := c.lead.PutIntent(t.Context(), wire.Intent{Stop: stop}); err != nil {
			t.Fatal(err)
		}
	}
	c.plan(1, "a")
	w.end(t, nil)
	c.final()
}

// TestRegistrationWaitsForTheIDOfAnEndedWorker has a process of the same ID that was killed: its
// registration outlives it.
func TestRegistrationWaitsForTheIDOfAnEndedWorker(t *testing.T) {
	synctest.Test(t, registrationWaitsForTheIDOfAnEndedWorker)
}

func registrationWaitsForTheIDOfAnEndedWorker(t *testing.T) {
	c := newCluster(t, 4)
	old := c.server.Connect()
	if _, err := old.Register(t.Context(), wire.Registration{ID: "a", Incarnation: "old"}, time.Second); err != nil {
		t.Fatal(err)
	}
	old.Crash()
	w := c.start("a")
	c.registered("a", "old")
	c.plan(1, "a")
	w.end(t, nil)
}

// TestTheIDOfALiveWorkerIsRefused starts a worker under the name of one that
// sends heartbeats.
func TestTheIDOfALiveWorkerIsRefused(t *testing.T) { synctest.Test(t, theIDOfALiveWorkerIsRefused) }

func theIDOfALiveWorkerIsRefused(t *testing.T) {
	c := newCluster(t, 100000)
	first := c.start("a")
	c.plan(1, "a")
	c.reached("a", 1)
	c.start("a").end(t, membership.ErrTaken)
	if err := c.lead.PutIntent(t.Context(), wire.Intent{Stop: true}); err != nil {
		t.Fatal(err)
	}
	first.end(t, nil)
}

// TestACheckpointIsNewerThanAnyMember has two workers at the beginning when they
// learn of a checkpoint of the last step but one: they compute the last, and nothing again.
func TestACheckpointIsNewerThanAnyMember(t *testing.T) {
	synctest.Test(t, aCheckpointIsNewerThanAnyMember)
}

func aCheckpointIsNewerThanAnyMember(t *testing.T) {
	before := newCluster(t, 5)
	w := before.start("w")
	before.plan(1, "w")
	w.end(t, nil)
	before.final()

	c := newCluster(t, 6)
	said := c.suspicions()
	last := func(step uint64, _ *pureTrainer) {
		if step != 5 { // they count from 0
			t.Errorf("step %d is computed again", step)
		}
	}
	all := []*running{c.startWith("a", last), c.startWith("b", last)}
	c.registered("a")
	c.registered("b")
	c.mu.Lock()
	c.flat, c.meta, c.digest, c.stored = before.flat, before.meta, before.digest, before.stored
	c.durable = before.stored
	c.mu.Unlock()
	c.plan(1, "a", "b")
	select {
	case s := <-said:
		if s.Generation != 1 || s.Subject != "" {
			t.Errorf("suspicion %+v", s)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no other generation is asked for")
	}
	c.plan(2, "a", "b")
	for _, r := range all {
		r.end(t, nil)
	}
	c.final()
}
