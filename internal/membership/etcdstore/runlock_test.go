package etcdstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/launch/embedded"
)

// TestALockThatEnded lets a lock end, as it does where etcd is away for long.
func TestALockThatEnded(t *testing.T) {
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
	store, err := Dial(t.Context(), endpoint.Endpoint{Run: "r", Etcd: etcd.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	here, there := membership.Holder{Host: "a", Boot: "1", Folder: "/f"}, membership.Holder{Host: "a", Boot: "2", Folder: "/f"}
	taken, err := store.LockRun(t.Context(), here, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	first := taken.(*runLock)
	defer func() {
		if err := first.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	held := func() (revision int64) {
		r, err := store.client.Get(t.Context(), store.keys.Up())
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
		if _, err := store.client.Revoke(t.Context(), first.session.Lease()); err != nil {
			t.Fatal(err)
		}
	}

	revoke()
	ended, end := keep()
	for until := time.Now().Add(5 * time.Minute); held() <= before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it is not taken again")
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	revoke()
	second, err := store.LockRun(t.Context(), there, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ended, end = keep()
	defer end()
	if err := <-ended; !errors.Is(err, membership.ErrLocked) {
		t.Errorf("another holds it: %v", err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
