package etcdstore_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/membership/storetest"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/embedded"
)

// service is an etcd that can be stopped and started again.
type service struct {
	options embedded.EtcdOptions
	etcd    *embedded.Etcd
}

func start(t *testing.T) *service {
	sockets, err := os.MkdirTemp("", "gramme") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	s := &service{options: embedded.EtcdOptions{DataDir: t.TempDir(), SocketDir: sockets, Log: zap.NewNop()}}
	s.restart(t)
	t.Cleanup(func() { s.etcd.Close() })
	return s
}

func (s *service) restart(t *testing.T) {
	t.Helper()
	etcd, err := embedded.StartEtcd(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.etcd = etcd
}

func (s *service) dial(t *testing.T) *clientv3.Client {
	t.Helper()
	c, err := endpoint.Endpoint{Run: "r", Etcd: s.etcd.Endpoints()}.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConformance(t *testing.T) {
	s := start(t)
	t.Run("cases", func(t *testing.T) { // ends after the parallel ones
		for name, test := range storetest.Cases() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, func() (membership.Store, func()) {
					c := s.dial(t)
					// A client that is closed no longer renews its leases.
					return etcdstore.New(c, strings.ReplaceAll(name, " ", "-")).WithLog(zap.NewNop()), func() { c.Close() }
				})
			})
		}
		for name, test := range storetest.SharedCases() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, func() (membership.SharedStore, func()) {
					c := s.dial(t)
					return etcdstore.New(c, strings.ReplaceAll(name, " ", "-")), func() { c.Close() }
				})
			})
		}
	})
}

// outage is a lease that etcd is away for longer than; a busy machine reaches etcd again
// within as much.
const outage = 4 * time.Second

func TestAnOutageLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := etcdstore.New(s.dial(t), "r").WithLog(zap.NewNop())
	seen, err := store.WatchWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := store.Register(t.Context(), wire.Registration{ID: "a", Incarnation: "1"}, outage)
	if err != nil {
		t.Fatal(err)
	}
	leader, err := store.Campaign(t.Context(), "c", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s.etcd.Close()
	time.Sleep(outage + outage/4)
	s.restart(t)

	other := etcdstore.New(s.dial(t), "r").WithLog(zap.NewNop())
	if _, err := other.Register(t.Context(), wire.Registration{ID: "b", Incarnation: "1"}, outage); err != nil {
		t.Fatal(err)
	}
	await(t, seen, "a", "b")
	if err := leader.PutPlan(t.Context(), wire.Plan{Generation: 1}); err != nil {
		t.Error(err)
	}
	if err := lease.Update(t.Context(), wire.Registration{ID: "a", Incarnation: "1", Draining: true}); err != nil {
		t.Error(err)
	}
}

// TestALeaderWhoseKeyIsGoneKnows removes it, as a new start of the run does.
func TestALeaderWhoseKeyIsGoneKnows(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.dial(t)
	store := etcdstore.New(client, "r")
	leader, err := store.Campaign(t.Context(), "c1", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-leader.Lost():
		t.Fatal("it is lost at once")
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := client.Delete(t.Context(), wire.KeysOf("r").Election(), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-leader.Lost():
	case <-time.After(5 * time.Minute):
		t.Error("it does not know")
	}
	if err := leader.PutIntent(t.Context(), wire.Intent{Stop: true}); !errors.Is(err, membership.ErrNotLeader) {
		t.Errorf("it still decides: %v", err)
	}
	if _, err := store.Campaign(t.Context(), "c2", 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestAnExpiredRegistrationIsWrittenAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.dial(t)
	store := etcdstore.New(client, "r").WithLog(zap.NewNop())
	lease, err := store.Register(t.Context(), wire.Registration{ID: "a", Incarnation: "1"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := store.WatchWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, seen, "a")
	key := wire.KeysOf("r").Worker("a")
	created := func() int64 {
		r, err := client.Get(t.Context(), key)
		if err != nil || len(r.Kvs) == 0 {
			return 0
		}
		return r.Kvs[0].CreateRevision
	}
	before := created()
	expire(t, client)
	for until := time.Now().Add(5 * time.Minute); created() <= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it is not written again")
		}
	}
	await(t, seen, "a")

	// An update that finds an expired lease writes it again, too.
	expire(t, client)
	if err := lease.Update(t.Context(), wire.Registration{ID: "a", Incarnation: "1", Draining: true}); err != nil {
		t.Fatal(err)
	}
	// Unless somebody else took the ID.
	expire(t, client)
	if _, err := client.Put(t.Context(), wire.KeysOf("r").Worker("a"), `{"id":"a","incarnation":"2"}`); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lease.Lost():
	case <-time.After(5 * time.Minute):
		t.Fatal("the ID was taken, and the old incarnation does not know")
	}
}

// expire ends all leases.
func expire(t *testing.T, c *clientv3.Client) {
	t.Helper()
	all, err := c.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all.Leases {
		if _, err := c.Revoke(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWatchSurvivesCompaction(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.dial(t)
	store := etcdstore.New(client, "r").WithLog(zap.NewNop())
	seen, err := store.WatchWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.etcd.Close()
	s.restart(t)
	writer := s.dial(t)
	var revision int64
	for _, id := range []string{"a", "b"} {
		r, err := writer.Put(t.Context(), wire.KeysOf("r").Worker(id), `{"id":"`+id+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		revision = r.Header.Revision
	}
	if _, err := writer.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	await(t, seen, "a", "b")
	// A registration that cannot be read is left out.
	if _, err := writer.Put(t.Context(), wire.KeysOf("r").Worker("a"), `{`); err != nil {
		t.Fatal(err)
	}
	await(t, seen, "b")
}

func await(t *testing.T, seen <-chan []wire.Registration, want ...string) {
	t.Helper()
	late := time.After(5 * time.Minute)
	var ids []string
	for {
		select {
		case all := <-seen:
			ids = nil
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			if slices.Equal(ids, want) {
				return
			}
		case <-late:
			t.Fatalf("workers %v, want %v", ids, want)
		}
	}
}

// TestARunKeepsToItsKeys resets one run and removes it, beside another of a similar name.
func TestARunKeepsToItsKeys(t *testing.T) {
	t.Parallel()
	client := start(t).dial(t)
	store, keys := etcdstore.New(client, "r"), wire.KeysOf("r")
	for key, value := range map[string]string{
		keys.Spec(): "s", keys.Intent(): `{"stop":true}`, keys.Worker("w1"): `{"id":"w1","pid":1}`, keys.Worker("w2"): `{"id":"w2","pid":2}`,
		keys.Worker("w3"): "damaged", "/gramme/r2/spec": "of another run",
	} {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Secret(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	lock, err := store.LockRun(t.Context(), membership.Holder{Host: "a", Folder: "/run"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	left := func(after, want string) {
		t.Helper()
		r, err := client.Get(t.Context(), "/gramme/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, kv := range r.Kvs {
			all = append(all, strings.TrimPrefix(string(kv.Key), "/gramme/"))
		}
		if got := strings.Join(all, " "); got != want {
			t.Errorf("after %s there are %s, not %s", after, got, want)
		}
	}
	if err := lock.Reset(t.Context(), func(r wire.Registration) bool { return r.PID == 1 }); err != nil {
		t.Error(err)
	}
	left("a reset", "r/secret r/spec r/up r/workers/w2 r2/spec")
	if err := errors.Join(lock.Clean(t.Context()), lock.Release(t.Context())); err != nil {
		t.Error(err)
	}
	left("the end", "r2/spec")
}
