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

// TestAcquaintance lets a third worker join two, once so that it is reached and
// once with a mailbox that others cannot connect to.
func TestAcquaintance(t *testing.T) {
	server, err := embedded.StartNATS(embedded.NATSOptions{Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	meet := func(secret string) *ReachabilityProbe {
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
	all := []string{meet("s").own, meet("s").own}
	// The one that others cannot reach comes last: it stays, and keeps whoever comes
	// after it from reaching everybody.
	for _, test := range []struct{ secret, want string }{{"s", ""}, {"other", wire.RingBroker}, {"s", wire.RingBroker}} {
		a := meet(test.secret)
		all = append(all, a.own)
		if way, err := a.Route(t.Context(), all, nil); way != test.want || err != nil {
			t.Errorf("the way of one with secret %q is %q, %v, not %q", test.secret, way, err, test.want)
		}
	}
	// Nobody that is asked is the one that others do not reach.
	if way, err := meet("s").Route(t.Context(), all[:2], nil); way != "" || err != nil {
		t.Errorf("the way among those that reach each other is %q, %v", way, err)
	}
	// One that leaves while it tries says nothing of who asked.
	leaver := meet("s")
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
	if way, err := meet("s").Route(t.Context(), []string{leaver.own}, nil); way != "" || err != nil {
		t.Errorf("the way with one that leaves is %q, %v", way, err)
	}
	if way, err := meet("s").Route(t.Context(), append(all[:2:2], "nats://127.0.0.1:1"), nil); way != "" || err != nil {
		t.Errorf("the way with one that does not answer is %q, %v", way, err)
	}
	// Nor is one waited for that is known to be gone.
	gone := make(chan string, 1)
	gone <- "nats://127.0.0.1:1"
	begun := time.Now()
	if way, err := meet("s").Route(t.Context(), append(all[:2:2], "nats://127.0.0.1:1"), gone); way != "" || err != nil {
		t.Errorf("the way with one that is gone is %q, %v", way, err)
	}
	if time.Since(begun) >= answerWait {
		t.Error("it is waited for")
	}
}
