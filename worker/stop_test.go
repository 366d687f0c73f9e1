package worker

import (
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestAStopWithoutACoordinator asks workers themselves to stop: they agree on a step, store
// it and end, whatever etcd and the coordinator do.
func TestAStopWithoutACoordinator(t *testing.T) { synctest.Test(t, aStopWithoutACoordinator) }

func aStopWithoutACoordinator(t *testing.T) {
	c := newCluster(t, 1_000_000)
	a, b := c.start("a"), c.start("b")
	c.plan(1, "a", "b")
	c.reached("a", 3)
	if err := bus.Publish(c.conn, wire.SubjectsOf("test").Stop(), nil); err != nil {
		t.Fatal(err)
	}
	a.end(t, nil)
	b.end(t, nil)
}
