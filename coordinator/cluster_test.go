package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gramme-project/gramme/coordinator"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/embedded"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// patience is how long a test waits for what has to come.
const patience = 5 * time.Minute

// within waits until a condition holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// onStore runs a test with the store in memory, where time is virtual, or with etcd,
// which takes its time while other tests run.
func onStore(t *testing.T, etcd bool, test func(t *testing.T)) {
	if !etcd {
		synctest.Test(t, test)
		return
	}
	t.Parallel()
	test(t)
}

// corpusDir is a prepared folder that all tests read.
var corpusDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "corpus")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := prepare(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func prepare(dir string) error {
	var b strings.Builder
	for d := range 120 {
		for s := range 3 + d%9 {
			fmt.Fprintf(&b, "Document %d has a sentence %d about the %s of things, word%d.\n", d, s, []string{"nature", "origin", "weight"}[(d+s)%3], (d*31+s*17)%997)
		}
		b.WriteString("\n")
	}
	input := filepath.Join(dir, "story.txt")
	if err := os.WriteFile(input, []byte(b.String()), 0o600); err != nil {
		return err
	}
	corpusDir = filepath.Join(dir, "corpus")
	_, err := shard.Prepare(context.Background(), shard.PrepareOptions{
		Inputs: []string{input}, OutDir: corpusDir, MaxSeq: 32, ShardTokens: 4000, VocabSize: 300, Seed: 1,
	})
	return err
}

// cluster is everything around coordinators.
type cluster struct {
	t        *testing.T
	spec     runspec.Spec
	corpus   shard.Manifest
	bus      *membus.Server
	conn     *membus.Conn
	connect  func() membership.Store // the store, for one process
	subjects wire.Subjects
}

func newCluster(t *testing.T, workers runspec.Workers, steps uint64) *cluster {
	t.Helper()
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "test", steps, runspec.PrecisionF32, 1
	spec.Workers, spec.FailureTimeout = workers, time.Second
	c := &cluster{t: t, spec: spec, subjects: wire.SubjectsOf(spec.Run), bus: membus.New()}
	server := memstore.New()
	c.connect = func() membership.Store { return server.Connect() }
	c.putSpec()
	if c.corpus, err = shard.OpenManifest(corpusDir); err != nil {
		t.Fatal(err)
	}
	c.conn = c.dial()
	return c
}

// putSpec stores the spec, as the start of a run does.
func (c *cluster) putSpec() {
	c.t.Helper()
	b, err := c.spec.Encode()
	if err == nil {
		err = c.connect().PutSpec(c.t.Context(), b)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) dial() *membus.Conn {
	conn := c.bus.Connect("test")
	c.t.Cleanup(conn.Close)
	return conn
}

// withEtcd makes etcd the store.
func (c *cluster) withEtcd() {
	c.t.Helper()
	sockets, err := os.MkdirTemp("", "gramme") // c.t.TempDir is too long for a socket
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { os.RemoveAll(sockets) })
	etcd, err := embedded.StartEtcd(c.t.Context(), embedded.EtcdOptions{DataDir: c.t.TempDir(), SocketDir: sockets, Log: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(etcd.Close)
	c.connect = func() membership.Store {
		client, err := endpoint.Endpoint{Run: c.spec.Run, Etcd: etcd.Endpoints()}.DialEtcd(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { client.Close() })
		return etcdstore.New(client, c.spec.Run)
	}
	c.putSpec()
}

// coordinator starts one. Calling what it returns ends it and checks that it
// ended well.
func (c *cluster) coordinator(id string) (stop func()) {
	return c.coordinatorWith(id, c.connect())
}

// coordinatorWith starts one with a store and returns when it listens.
func (c *cluster) coordinatorWith(id string, store membership.Store) (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	conn := c.dial()
	log := zaptest.NewLogger(c.t, zaptest.WrapOptions(zap.IncreaseLevel(zap.WarnLevel))).Named(id)
	go func() {
		ended <- coordinator.Run(ctx, coordinator.Config{
			ID: id, Host: "host", PID: 7, Spec: c.spec, CorpusDir: corpusDir, Store: store,
			Bus: conn, Log: log, Software: "test", Meter: func() (float64, float64) { return 5, 2 },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				c.t.Errorf("coordinator %s: %v", id, err)
			}
		case <-time.After(patience):
			c.t.Errorf("coordinator %s does not end", id)
		}
	})
	c.t.Cleanup(stop)
	within(c.t, id+" listens", func() bool { return conn.Subjects() >= 4 })
	return stop
}

// control asks until it is answered, and returns the refusal.
func (c *cluster) control(request wire.Control) (refusal string) {
	c.t.Helper()
	within(c.t, "answer to "+string(request.Verb), func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 500*time.Millisecond)
		defer cancel()
		err := bus.Deliver(ctx, c.conn, c.subjects.Control(), request)
		refused := (*bus.RefusedError)(nil)
		if errors.As(err, &refused) {
			refusal = refused.Reason
			return !strings.Contains(refusal, "ask again")
		}
		return err == nil
	})
	return refusal
}

func (c *cluster) status() (s wire.Status, ok bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 500*time.Millisecond)
	defer cancel()
	s, err := bus.Request[wire.Status](ctx, c.conn, c.subjects.Status(), nil)
	return s, err == nil
}

// statusWhere waits for a status.
func (c *cluster) statusWhere(what string, holds func(wire.Status) bool) (s wire.Status) {
	c.t.Helper()
	within(c.t, "status: "+what, func() bool {
		var ok bool
		s, ok = c.status()
		return ok && holds(s)
	})
	return s
}

// committed announces a checkpoint.
func (c *cluster) committed(step uint64) {
	c.t.Helper()
	if err := bus.Publish(c.conn, c.subjects.Committed(), wire.Committed{Step: step}); err != nil {
		c.t.Fatal(err)
	}
}
