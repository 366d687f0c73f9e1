package worker

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/embedded"
)

// TestReachability lets a third worker join two, once with a mailbox that others
// reach and once with one that they cannot connect to.
func TestReachability(t *testing.T) {
	t.Parallel()
	server, err := embedded.StartNATS("s")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	probe := func(secret string) *ReachabilityProbe {
		box, err := natslink.Open(natslink.Options{Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(box.Close)
		conn, err := endpoint.Endpoint{Run: "r", NATS: server.URL(), Secret: "s"}.DialBus(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		a, err := NewReachabilityProbe(conn, "r", box, "s", zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a
	}
	all := []string{probe("s").own, probe("s").own}
	// The worker that others cannot reach stays, so the next one does not reach
	// everybody either.
	for _, test := range []struct{ secret, want string }{{"s", ""}, {"other", wire.RingBroker}, {"s", wire.RingBroker}} {
		a := probe(test.secret)
		all = append(all, a.own)
		if route, err := a.Route(t.Context(), all, nil); route != test.want || err != nil {
			t.Errorf("the route of one with secret %q is %q, %v, not %q", test.secret, route, err, test.want)
		}
	}
	// The worker that others do not reach is not asked.
	if route, err := probe("s").Route(t.Context(), all[:2], nil); route != "" || err != nil {
		t.Errorf("the route among those that reach each other is %q, %v", route, err)
	}
	// A worker that leaves while it tries to connect tells nothing of the one that asked.
	leaver := probe("s")
	trying := make(chan struct{})
	leaver.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(trying)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	go func() {
		<-trying
		leaver.Close()
	}()
	if route, err := probe("s").Route(t.Context(), []string{leaver.own}, nil); route != "" || err != nil {
		t.Errorf("the route with one that leaves is %q, %v", route, err)
	}
	if route, err := probe("s").Route(t.Context(), append(all[:2:2], "nats://127.0.0.1:1"), nil); route != "" || err != nil {
		t.Errorf("the route with one that does not answer is %q, %v", route, err)
	}
	// A worker that is known to be gone is not waited for.
	gone := make(chan string, 1)
	gone <- "nats://127.0.0.1:1"
	begun := time.Now()
	if route, err := probe("s").Route(t.Context(), append(all[:2:2], "nats://127.0.0.1:1"), gone); route != "" || err != nil {
		t.Errorf("the route with one that is gone is %q, %v", route, err)
	}
	if time.Since(begun) >= answerWait {
		t.Error("it is waited for")
	}
}
