package worker

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/internal/embedded"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestAcquaintance lets a third worker join two, once so that it is reached and
// once with a mailbox that others cannot connect to.
func TestAcquaintance(t *testing.T) {
	server, err := embedded.StartNATS(embedded.NATSOptions{Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	meet := func(secret string) *Acquaintance {
		box, err := natslink.Open(natslink.Options{Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(box.Close)
		conn, err := nats.Connect(server.URL(), nats.Token("s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		a, err := Acquaint(conn, "r", box, "s", zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		return a
	}
	meet("s")
	meet("s")
	// The one that others cannot reach comes last: it stays, and keeps whoever comes
	// after it from reaching everybody.
	for _, test := range []struct{ secret, want string }{{"s", ""}, {"other", wire.RingBroker}, {"s", wire.RingBroker}} {
		if way, err := meet(test.secret).Way(t.Context()); way != test.want || err != nil {
			t.Errorf("the way of one with secret %q is %q, %v, not %q", test.secret, way, err, test.want)
		}
	}
}
