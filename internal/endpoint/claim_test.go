package endpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/launch/embedded"
)

func TestWhoIsTheSameHolder(t *testing.T) {
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

// TestClaimThatEnded lets a claim end, as it does where etcd is away for long.
func TestClaimThatEnded(t *testing.T) {
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
	e := Endpoint{Run: "r", Etcd: etcd.Endpoints()}
	here, there := Holder{Host: "a", Boot: "1", Folder: "/f"}, Holder{Host: "a", Boot: "2", Folder: "/f"}
	claim := func(h Holder) (*Claim, error) { return e.Claim(t.Context(), h) }
	first, err := claim(here)
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
	second, err := claim(there)
	if err != nil {
		t.Fatal(err)
	}
	ended, end = keep()
	defer end()
	if err := <-ended; !errors.Is(err, ErrClaimed) {
		t.Errorf("another holds it: %v", err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
