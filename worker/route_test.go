package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/allreduce/ringtest"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/embedded"
)

// newNATSCluster makes a cluster on NATS, with rings over mailboxes. Worker a reaches
// others by the network.
func newNATSCluster(t *testing.T, steps uint64) (*cluster, *ringtest.Network) {
	t.Helper()
	server, err := embedded.StartNATS("s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	e := endpoint.Endpoint{Run: "test", NATS: server.URL(), Secret: "s"}
	c := newClusterOn(t, steps, func() conn {
		conn, err := e.DialBus(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	})
	network := ringtest.NewNetwork()
	c.links = func(id string, cfg *Config) (stop func()) {
		options := natslink.Options{Secret: "s"}
		if id == "a" {
			options.Dial, options.Silence = network.Dial, c.spec.FailureTimeout
		}
		box, err := natslink.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		rings := &RoutedLinks{DirectLinks: DirectLinks{"test", box}, Relay: &natslink.Relay{Dial: e.Dialer("ring")}}
		probe, err := NewReachabilityProbe(cfg.Bus, "test", box, "s", cfg.Log)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Links, cfg.Route = rings, probe.Route
		return func() {
			rings.Close()
			probe.Close()
			box.Close()
		}
	}
	return c, network
}

// TestRingThatIsCutGoesThroughNATS cuts the way between two members in the middle of
// a run. Everybody else reaches both, and no connection is closed.
func TestRingThatIsCutGoesThroughNATS(t *testing.T) {
	t.Parallel()
	const steps = 40
	want := calm(t, steps)
	c, network := newNATSCluster(t, steps)
	said := c.suspicions()
	a, b := c.start("a"), c.start("b")
	c.plan(1, "a", "b")
	c.reached("a", 8)
	network.Cut()
	select {
	case s := <-said:
		if s.From != "a" || s.Subject != "" || !strings.Contains(string(s.Evidence), "nothing comes from it") {
			t.Errorf("suspicion %+v", s)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the cut is not noticed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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
	c.route = wire.RingBroker
	c.plan(2, "a", "b")
	a.end(t, nil)
	b.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
}
