package endpoint

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// TestDialsWithPassword reaches a NATS that knows users and gives this one no
// more than the documentation says it needs.
func TestDialsWithPassword(t *testing.T) {
	needs := &server.SubjectPermission{Allow: []string{"gramme.>", "_INBOX.>"}}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		Users: []*server.User{{Username: "u", Password: "p@ss", Permissions: &server.Permissions{Publish: needs, Subscribe: needs}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS does not start")
	}
	at := func(password string) Endpoint {
		u, err := url.Parse(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("u", password)
		return Endpoint{Run: "r", Etcd: []string{"unix:/x"}, NATS: u.String(), Secret: "of the run", Shared: true}
	}
	c, err := at("p@ss").DialNATS(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Subscribe("gramme.r.x", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Request("gramme.r.x", []byte("y"), 5*time.Minute); err != nil || string(m.Data) != "y" {
		t.Errorf("request: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err = at("hidden").DialNATS(ctx, "test")
	if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("another password: %v", err)
	}
}

func TestAddressesThatCannotBeUsed(t *testing.T) {
	for want, change := range map[string]func(*Endpoint){
		"an address of etcd is no URL": func(e *Endpoint) { e.Etcd = []string{"127.0.0.1:2379"} },
		"nats:// or tls://":            func(e *Endpoint) { e.NATS = "http://x:hidden@h" },
		"all are reached alike":        func(e *Endpoint) { e.NATS = "nats://a:1,tls://u:hidden@b:1" },
		"belong together":              func(e *Endpoint) { e.TLS.Key = "k" },
	} {
		e := sample
		change(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
