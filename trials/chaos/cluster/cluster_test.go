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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
	// Whoever comes now is not kept by those that are gone.
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

func TestRefusesWhoIsNotKnown(t *testing.T) {
	_, e := trial(t)
	for name, change := range map[string]func(*endpoint.Endpoint){
		"another authority": func(e *endpoint.Endpoint) { e.TLS.CA = "" },
		"no certificate":    func(e *endpoint.Endpoint) { e.TLS.Cert, e.TLS.Key = "", "" },
		"no such file":      func(e *endpoint.Endpoint) { e.TLS.CA = "/none" },
	} {
		other := e
		change(&other)
		within := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		if _, err := other.DialNATS(within(), "test"); err == nil {
			t.Errorf("%s: NATS takes it", name)
		}
		if _, err := other.DialEtcd(within()); err == nil {
			t.Errorf("%s: etcd takes it", name)
		} else if why := map[string]string{"another authority": "x509", "no certificate": "certificate required", "no such file": "/none"}[name]; !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v does not say %q", name, err, why)
		}
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
