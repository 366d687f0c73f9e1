package natslink

import (
	"context"
	"net"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	for _, secure := range []bool{false, true} {
		m, err := Open(Options{Secret: secret, TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		other, err := Open(Options{Secret: secret, TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := Probe(t.Context(), m.URL(), secret, nil); err != nil {
			t.Errorf("a mailbox that is there: %v", err)
		}
		if err := Probe(t.Context(), m.URL(), "another secret", nil); err == nil {
			t.Error("another secret is taken")
		}
		if !secure {
			continue
		}
		// At that address listens a mailbox, but not the one that is meant.
		at, _, _ := strings.Cut(m.URL(), "#")
		_, pin, _ := strings.Cut(other.URL(), "#")
		for _, wrong := range []string{at, at + "#" + pin, at + "#00"} {
			if err := Probe(t.Context(), wrong, secret, nil); err == nil {
				t.Errorf("%s is taken for another", wrong)
			}
		}
	}
}

// TestProbeGivesUp ends a probe of an address from which nothing comes back.
func TestProbeGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := Probe(ctx, "nats://192.0.2.1:4222", secret, dial); err == nil {
		t.Error("an address of no machine is reached")
	}
}
