package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce/ringtest"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestRingThatIsCutGoesThroughNATS cuts the way between two members in the middle of
// a run. Everybody else reaches both, and no connection is closed.
func TestRingThatIsCutGoesThroughNATS(t *testing.T) {
	const steps = 40
	want := calm(t, steps)
	c := newCluster(t, steps)
	c.networks = map[string]*ringtest.Network{"a": ringtest.NewNetwork()}
	said := c.suspicions()
	a, b := c.start("a"), c.start("b")
	c.plan(1, "a", "b")
	c.reached("a", 8)
	c.networks["a"].Cut()
	select {
	case s := <-said:
		if s.From != "a" || s.Subject != "" || !strings.Contains(string(s.Evidence), "nothing comes from it") {
			t.Errorf("suspicion %+v", s)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the cut is not noticed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	registered, err := c.store.WatchWorkers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for all := range registered {
		if len(all) == 2 && all[0].Ring+all[1].Ring != "" { // one is enough
			break
		}
	}
	if ctx.Err() != nil {
		t.Fatal("nobody says that the ring has to go through NATS")
	}
	c.ring = wire.RingBroker
	c.plan(2, "a", "b")
	a.end(t, nil)
	b.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
}
