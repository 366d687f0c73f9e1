package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/internal/endpoint"
)

// TestMain lets this binary be a member.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "member" {
		if err := Serve(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// trial starts a cluster that ends with the test.
func trial(t *testing.T) (*Cluster, endpoint.Endpoint) {
	t.Helper()
	c, err := Start(t.Context(), Options{Dir: t.TempDir(), Command: []string{os.Args[0], "member"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, c.Endpoint("r")
}

func TestDialsAClusterThatLosesMembers(t *testing.T) {
	c, e := trial(t)
	etcd, err := e.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	conn, err := e.DialNATS(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe("ping", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	// Asked once: a client is soon at another, which has to stay.
	at := conn.ConnectedUrl()
	for _, m := range c.Members("") {
		if m.Name == "etcd-1" || m.Address == at {
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		if _, err = etcd.Put(ctx, "/gramme/r/x", "1"); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("etcd without one member: %v", err)
	}
	for {
		if _, err = conn.Request("ping", nil, time.Second); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("NATS without one server: %v", err)
	}
	// A client that connects now is not held up by the members that are gone.
	for range 4 {
		again, err := e.DialEtcd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		n, err := e.DialNATS(ctx, "test")
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
	}
}

func TestRefusesAClientThatIsNotKnown(t *testing.T) {
	_, e := trial(t)
	for name, c := range map[string]struct {
		why    string // as etcd says it
		change func(*endpoint.Endpoint)
	}{
		"another authority": {"x509", func(e *endpoint.Endpoint) { e.TLS.CA = "" }},
		"no certificate":    {"certificate required", func(e *endpoint.Endpoint) { e.TLS.Cert, e.TLS.Key = "", "" }},
		"no such file":      {"/none", func(e *endpoint.Endpoint) { e.TLS.CA = "/none" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := e
			c.change(&other)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // enough for one try of each
			defer cancel()
			if _, err := other.DialEtcd(ctx); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("etcd: %v does not say %q", err, c.why)
			}
			if _, err := other.DialNATS(ctx, "test"); err == nil {
				t.Error("NATS takes it")
			}
		})
	}
}

// TestAway kills all members of both kinds: clients that were there find them
// again, with what they held.
func TestAway(t *testing.T) {
	c, e := trial(t)
	etcd, err := e.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	conn, err := e.DialNATS(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := etcd.Put(t.Context(), "/gramme/r/x", "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Subscribe("ping", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	before := map[string]int{}
	for _, m := range c.Members("") {
		before[m.Name] = m.PID()
	}
	if err := Away(t.Context(), c.Members(""), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members("") {
		if m.PID() == before[m.Name] {
			t.Errorf("%s was not killed", m.Name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if r, err := etcd.Get(ctx, "/gramme/r/x"); err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "kept" {
		t.Errorf("etcd holds %v, %v", r, err)
	}
	for {
		if _, err = conn.Request("ping", nil, time.Second); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("NATS: %v", err)
	}
}
