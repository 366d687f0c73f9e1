package natslink

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

const secret = "a secret of the run"

// A world of 1 has no link.
var worlds = []int{2, 3, 4, 5, 6, 7, 8, 9}

// join connects all ranks at once, as they need each other.
func join(t testing.TB, world int, connect func(ctx context.Context, rank int) (allreduce.Link, error)) []allreduce.Link {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	links, errs := make([]allreduce.Link, world), make([]error, world)
	var wg sync.WaitGroup
	for r := range world {
		wg.Go(func() { links[r], errs[r] = connect(ctx, r) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return links
}

type mailboxes []*Mailbox

func openMailboxes(t testing.TB, n int) ringtest.Cluster { return openWith(t, n, false) }

func openWith(t testing.TB, n int, secure bool) ringtest.Cluster {
	list := make(mailboxes, n)
	for i := range list {
		m, err := Open(Options{Secret: secret, TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		list[i] = m
	}
	return list
}

func (c mailboxes) Join(t testing.TB, generation uint64, members ...int) []allreduce.Link {
	n := len(members)
	return join(t, n, func(ctx context.Context, r int) (allreduce.Link, error) {
		return c[members[r]].Connect(ctx, Session{
			Run: "test", Generation: generation, Rank: r, World: n,
			Previous: c[members[(r+n-1)%n]].URL(), Next: c[members[(r+1)%n]].URL(),
		})
	})
}

func (c mailboxes) Kill(member int) { c[member].Close() }

func TestMailboxConformance(t *testing.T) { ringtest.Run(t, worlds, openMailboxes) }

func TestSecureMailboxConformance(t *testing.T) {
	ringtest.Run(t, []int{2, 3}, func(t testing.TB, n int) ringtest.Cluster { return openWith(t, n, true) })
}

type brokered []*nats.Conn

// startBroker runs a NATS server with the limits that it has by default.
func startBroker(t testing.TB) *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		t.Fatal("the broker does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func openBroker(t testing.TB, n int) ringtest.Cluster {
	s := startBroker(t)
	list := make(brokered, n)
	for i := range list {
		conn, err := nats.Connect(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		list[i] = conn
	}
	return list
}

func (c brokered) Join(t testing.TB, generation uint64, members ...int) []allreduce.Link {
	return join(t, len(members), func(ctx context.Context, r int) (allreduce.Link, error) {
		return ConnectThroughBroker(ctx, c[members[r]], Session{Run: "test", Generation: generation, Rank: r, World: len(members)})
	})
}

func (c brokered) Kill(member int) { c[member].Close() }

func TestBrokerConformance(t *testing.T) { ringtest.Run(t, worlds, openBroker) }
