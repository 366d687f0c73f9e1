package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "gramme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestEtcdKeepsItsData(t *testing.T) {
	core, said := observer.New(zapcore.DebugLevel)
	data := filepath.Join(t.TempDir(), "etcd")
	for round := range 3 {
		// Another folder of sockets each time, as after a reboot.
		o := EtcdOptions{DataDir: data, SocketDir: filepath.Join(shortDir(t), "s"), Log: zap.New(core)}
		e, err := StartEtcd(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		c, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints(), Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		// Nowhere else: not at an abstract address, which others could dial.
		for _, name := range []string{"etcd.sock", "peer.sock"} {
			if info, err := os.Stat(filepath.Join(o.SocketDir, name)); err != nil || info.Mode().Type() != os.ModeSocket {
				t.Errorf("%s: %v", name, err)
			}
		}
		r, err := c.Get(t.Context(), "key")
		if err != nil || len(r.Kvs) != min(round, 1) {
			t.Errorf("round %d: %v %v", round, r, err)
		}
		if _, err := c.Put(t.Context(), "key", "value"); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		e.Close()
		if _, open := <-e.Err(); open {
			t.Error("etcd reports a failure after Close")
		}
	}
	for _, e := range said.All() {
		// A slow disk is worth a word; nothing else happened here.
		if !strings.Contains(e.Message, "slow") && !strings.Contains(e.Message, "took too long") && e.Message != "request stats" {
			t.Errorf("etcd says: %s %v", e.Message, e.ContextMap())
		}
	}
}

func TestEtcdRefusesWhatCannotWork(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	_, err := StartEtcd(t.Context(), EtcdOptions{DataDir: t.TempDir(), SocketDir: long, Log: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), "choose a shorter folder") {
		t.Errorf("a long path: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := StartEtcd(t.Context(), EtcdOptions{DataDir: file, SocketDir: shortDir(t), Log: zap.NewNop()}); err == nil {
		t.Error("a file as data folder is taken")
	}
}

func TestNATSWantsItsSecret(t *testing.T) {
	if _, err := StartNATS(""); err == nil {
		t.Error("no secret is taken")
	}
	s, err := StartNATS("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
		t.Errorf("listens at %s", s.URL())
	}
	for _, token := range []string{"", "other"} {
		if _, err := nats.Connect(s.URL(), nats.Token(token)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	c, err := nats.Connect(s.URL(), nats.Token("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.MaxPayload() < 2<<20 {
		t.Errorf("messages of %d bytes", c.MaxPayload())
	}
	if _, err := c.Request("nobody", nil, 5*time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("request to nobody: %v", err)
	}
}

// TestEtcdThatFailsForGood takes etcd the way of a full disk: it reports a fatal
// error and must not go on, and this process must not end.
func TestEtcdThatFailsForGood(t *testing.T) {
	core, said := observer.New(zapcore.DebugLevel)
	o := EtcdOptions{DataDir: filepath.Join(t.TempDir(), "etcd"), SocketDir: shortDir(t), Log: zap.New(core)}
	e, err := StartEtcd(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // on goroutines of its own; the second is what follows on the first
		go func() {
			e.etcd.GetLogger().Fatal("failed to commit tx", zap.Error(&os.PathError{Op: "write", Path: "db", Err: syscall.ENOSPC}))
			t.Error("it goes on")
		}()
	}
	err = <-e.Err()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "failed to commit tx") {
		t.Errorf("it reports %v", err)
	}
	e.Close()
	if said.FilterMessage("failed to commit tx").Len() == 0 {
		t.Error("the log does not tell")
	}
}
