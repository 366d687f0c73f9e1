package etcdstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/launch/embedded"
)

func TestSameHolder(t *testing.T) {
	h := Holder{Host: "h", Machine: "m", Boot: "b", Folder: "/f", PID: 1}
	nameless := Holder{Host: "h", Boot: "b", Folder: "/f", PID: 1}
	with := func(h Holder, change func(*Holder)) Holder { change(&h); return h }
	for _, c := range []struct {
		what string
		a, b Holder
		same bool
	}{
		{"another process", h, with(h, func(h *Holder) { h.PID = 2 }), true},
		{"after a start of the machine", h, with(h, func(h *Holder) { h.Boot = "b2" }), true},
		{"another folder", h, with(h, func(h *Holder) { h.Folder = "/g" }), false},
		{"another machine of that name", h, with(h, func(h *Holder) { h.Machine = "m2" }), false},
		{"a machine without an id, another process", nameless, with(nameless, func(h *Holder) { h.PID = 2 }), true},
		{"machines without an id, of other starts", nameless, with(nameless, func(h *Holder) { h.Boot = "b2" }), false},
		{"nothing but the name is known", with(nameless, func(h *Holder) { h.Boot = "" }), with(nameless, func(h *Holder) { h.Boot = "" }), false},
	} {
		if c.a.same(c.b) != c.same || c.b.same(c.a) != c.same {
			t.Errorf("%s: same is not %v", c.what, c.same)
		}
	}
}

// TestLockThatEnded lets a lock end, as it does where etcd is out of reach for long.
func TestLockThatEnded(t *testing.T) {
	sockets, err := os.MkdirTemp("", "gramme")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	etcd, err := embedded.StartEtcd(t.Context(), embedded.EtcdOptions{DataDir: filepath.Join(sockets, "data"), SocketDir: sockets, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	here, there := Holder{Host: "a", Boot: "1", Folder: "/f"}, Holder{Host: "a", Boot: "2", Folder: "/f"}
	lock := func(h Holder) (*RunLock, error) {
		client, err := clientv3.New(clientv3.Config{Endpoints: etcd.Endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		return LockRun(t.Context(), client, "r", h)
	}
	first, err := lock(here)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := first.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	held := func() (revision int64) {
		r, err := first.client.Get(t.Context(), first.keys.Up())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Kvs) > 0 {
			revision = r.Kvs[0].CreateRevision
		}
		return revision
	}
	before := held()
	keep := func() (ended chan error, end func()) {
		ctx, end := context.WithCancel(t.Context())
		ended = make(chan error, 1)
		go func() { ended <- first.Keep(ctx) }()
		return ended, end
	}
	revoke := func() {
		if _, err := first.client.Revoke(t.Context(), first.session.Lease()); err != nil {
			t.Fatal(err)
		}
	}

	revoke()
	ended, end := keep()
	for until := time.Now().Add(time.Minute); held() <= before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it is not taken again")
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	revoke()
	second, err := lock(there)
	if err != nil {
		t.Fatal(err)
	}
	ended, end = keep()
	defer end()
	if err := <-ended; !errors.Is(err, ErrLocked) {
		t.Errorf("another holds it: %v", err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
