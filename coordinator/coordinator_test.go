package coordinator_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/shardcache"
)

const endless = 1 << 40

func process(s wire.Status, id string) wire.Process {
	i := slices.IndexFunc(s.Processes, func(p wire.Process) bool { return p.ID == id })
	if i < 0 {
		return wire.Process{}
	}
	return s.Processes[i]
}

// TestRunFromStartToStop is a whole run: workers come, train, one dies, a user
// asks for this and that, and at last for the end.
func TestRunFromStartToStop(t *testing.T) { synctest.Test(t, runFromStartToStop) }

func runFromStartToStop(t *testing.T) {
	c := newCluster(t, runspec.Workers{Min: 1, Max: 2}, endless)
	l := c.ledger(0, 0)
	stop := c.coordinator("c1")
	a, _ := c.worker("a", 0, endless)
	_, killB := c.worker("b", 0, endless)
	s := c.statusWhere("both train", func(s wire.Status) bool {
		return s.State == wire.StateTraining && s.Step > 20 && process(s, "b").Rank >= 0
	})
	if s.Run != "test" || s.Steps != endless || s.Generation != 1 || s.Reason != "start with 2 workers" {
		t.Errorf("status %+v", s)
	}
	if s.Loss.Or(0) <= 7 || s.MLMLoss != number.Known(7) || s.LearningRate != number.Known(1e-3) || s.Tokens < 20*stepTokens || s.StepSeconds.Or(0) < 0.019 || s.StepSeconds.Or(1) > 0.021 ||
		s.TokensPerSecond.Or(0) < 4900 || s.TokensPerSecond.Or(0) > 5100 || s.EtaSeconds.Or(0) <= 0 || s.Joules != number.Known(25) || s.Watts != number.Known(10) {
		t.Errorf("numbers of the status: %+v", s)
	}
	if p := process(s, "a"); p.Role != wire.RoleWorker || p.PID != 1000 || p.Host != "host" || p.State != wire.WorkerComputing || p.MicroBatches == 0 || p.Speed != 8 {
		t.Errorf("worker in the status: %+v", p)
	}
	if p := process(s, "c1"); p.Role != wire.RoleCoordinator || p.PID != 7 || p.Rank != -1 {
		t.Errorf("coordinator in the status: %+v", p)
	}

	killB()
	c.statusWhere("b is gone", func(s wire.Status) bool { return s.Generation == 2 && process(s, "b").ID == "" })
	if got := c.control(wire.Control{Verb: wire.VerbDrain, Worker: "x"}); !strings.Contains(got, "no such worker; there are a") {
		t.Errorf("drain x: %q", got)
	}
	if got := c.control(wire.Control{Verb: "dance"}); !strings.Contains(got, "unknown request") {
		t.Errorf("dance: %q", got)
	}
	if got := c.control(wire.Control{Verb: wire.VerbStop, Reason: "enough"}); got != "" {
		t.Errorf("stop: %q", got)
	}
	// An accepted request is stored.
	within(t, "the worker stops", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.stopped })
	c.statusWhere("it stops", func(s wire.Status) bool {
		return s.State == wire.StateStopping && process(s, "a").State == wire.WorkerStopped
	})
	last, _ := a.at()
	c.committed(last)
	s = c.statusWhere("it has stopped", func(s wire.Status) bool { return s.State == wire.StateStopped })
	if s.Checkpoint != last || s.Step != last || s.Reason != "enough" {
		t.Errorf("status at the end: %+v, last step %d", s, last)
	}
	stop()
	if m := l.of(wire.EventMembership); len(m) != 2 || m[0].Generation != 1 || !slices.Equal(m[0].Members, []string{"a", "b"}) || !slices.Equal(m[1].Members, []string{"a"}) {
		t.Errorf("membership in the ledger: %+v", m)
	}
	if b := l.of(wire.EventBegun); len(b) != 1 || b[0].Lineage.Generation != 1 || b[0].Lineage.Session == "" || time.Since(b[0].Lineage.Since) > time.Minute {
		t.Errorf("beginnings in the ledger: %+v", b)
	}
}

// TestStatusBeforeAnyWorker wants a whole answer while nobody is there.
func TestStatusBeforeAnyWorker(t *testing.T) { synctest.Test(t, statusBeforeAnyWorker) }

func statusBeforeAnyWorker(t *testing.T) {
	c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, 10)
	c.ledger(4, 0)
	c.coordinator("c1")
	beat := wire.ProcessBeat{Role: wire.RoleCheckpoint, ID: "store", PID: 3, Host: "h", State: wire.ProcessRunning, Joules: 7, Watts: 1}
	s := c.statusWhere("it knows the checkpoint", func(s wire.Status) bool {
		if err := bus.Publish(c.conn, c.subjects.Process(), beat); err != nil {
			t.Fatal(err)
		}
		return s.Checkpoint == 4 && process(s, "store").ID != ""
	})
	if s.State != wire.StateWaiting || s.Step != 4 || len(s.Processes) != 2 || s.Joules != number.Known(12) || process(s, "store").Rank != -1 {
		t.Errorf("status %+v", s)
	}
}

// TestTakeOver ends the elected coordinator, in order and by a cut from the
// store: the other one goes on with the same generation.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"orderly", "orderly with etcd", "crash"} {
		etcd := strings.Contains(name, "etcd")
		test := func(t *testing.T) {
			c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, endless)
			if etcd {
				c.withEtcd()
			}
			l := c.ledger(0, 0)
			store := c.connect()
			stop := c.coordinatorWith("c1", store)
			a, _ := c.worker("a", 0, endless)
			c.statusWhere("c1 leads", func(s wire.Status) bool { return s.Step > 5 && process(s, "c1").ID != "" })
			stop2 := c.coordinator("c2")
			within(t, "the membership in the ledger", func() bool { return len(l.of(wire.EventMembership)) == 1 })
			if name == "crash" {
				store.(*memstore.Store).Crash()
			} else {
				stop()
			}
			s := c.statusWhere("c2 leads", func(s wire.Status) bool {
				return process(s, "c2").State == wire.ProcessElected && process(s, "a").Rank == 0 && s.Step > 5
			})
			if s.Generation != 1 || s.State != wire.StateTraining {
				t.Errorf("status after the change: %+v", s)
			}
			if step, plan := a.at(); step == 0 || plan.Generation != 1 {
				t.Errorf("the worker is at step %d of generation %d", step, plan.Generation)
			}
			if got := c.control(wire.Control{Verb: wire.VerbStop}); got != "" {
				t.Errorf("stop: %q", got)
			}
			c.statusWhere("it stops", func(s wire.Status) bool { return process(s, "a").State == wire.WorkerStopped })
			stop2()
		}
		t.Run(name, func(t *testing.T) { onStore(t, etcd, test) })
	}
}

// TestEventsWaitForTheService lets the checkpoint service come late and refuse
// at first.
func TestEventsWaitForTheService(t *testing.T) { synctest.Test(t, eventsWaitForTheService) }

func eventsWaitForTheService(t *testing.T) {
	c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, 30)
	c.coordinator("c1")
	c.worker("a", 0, 30)
	c.statusWhere("all steps are applied", func(s wire.Status) bool { return s.Step == 30 })
	l := c.ledger(0, 2)
	c.committed(30)
	c.statusWhere("it is done", func(s wire.Status) bool { return s.State == wire.StateDone })
	within(t, "the membership in the ledger", func() bool { return len(l.of(wire.EventMembership)) == 1 })
	if m := l.of(wire.EventMembership); len(m) != 1 {
		t.Errorf("membership in the ledger: %+v", m)
	}
}

// TestTheNextLeaderSendsUnacknowledgedEvents ends a coordinator that wrote two plans
// while there was no checkpoint service.
func TestTheNextLeaderSendsUnacknowledgedEvents(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory", "etcd"} {
		test := func(t *testing.T) {
			c := newCluster(t, runspec.Workers{Min: 1, Max: 2}, endless)
			if name == "etcd" {
				c.withEtcd()
			}
			stop := c.coordinator("c1")
			c.worker("a", 3, endless)
			_, killB := c.worker("b", 0, endless)
			c.statusWhere("both train", func(s wire.Status) bool { return s.Generation == 1 && process(s, "b").Rank >= 0 })
			killB()
			c.statusWhere("b is gone", func(s wire.Status) bool { return s.Generation == 2 })
			stop()
			l := c.ledger(0, 0)
			c.coordinator("c2")
			within(t, "the memberships in the ledger", func() bool { return len(l.of(wire.EventMembership)) == 2 })
			m := l.of(wire.EventMembership)
			if m[0].Generation != 1 || m[1].Generation != 2 {
				t.Errorf("memberships in the ledger: %+v", m)
			}
			if b := l.of(wire.EventBegun); len(b) != 1 || b[0].Lineage.From != 3 || time.Since(b[0].Lineage.Since) > time.Minute {
				t.Errorf("beginnings in the ledger: %+v", b)
			}
		}
		t.Run(name, func(t *testing.T) { onStore(t, name == "etcd", test) })
	}
}

// TestShards fetches the corpus as a worker does.
func TestShards(t *testing.T) { synctest.Test(t, shards) }

func shards(t *testing.T) {
	c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, 10)
	c.coordinator("c1")
	c.coordinator("c2") // one of them answers
	subject := c.subjects.Shard()
	source := func(ctx context.Context, name, sha256 string, offset int64, length int) ([]byte, int64, error) {
		r := wire.Range{Name: sha256, Offset: offset, Length: length}
		if sha256 == "" {
			r.Name = name
		}
		return transfer.Fetch(ctx, c.conn, subject, r)
	}
	var packed []byte
	within(t, "the bundle", func() bool {
		var err error
		packed, err = shardcache.Bytes(t.Context(), source, shard.BundleName, "", 1<<20)
		return err == nil
	})
	bundle, err := shard.DecodeBundle(packed)
	if err != nil || bundle.Manifest.Digest() != c.corpus.Digest() {
		t.Fatalf("bundle: %v", err)
	}
	cache, err := shardcache.New(shardcache.Config{Dir: t.TempDir(), Source: source})
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []shard.Split{c.corpus.Splits.Train, c.corpus.Splits.Validation, c.corpus.Splits.Test} {
		for _, info := range split.Shards {
			path, err := cache.Fetch(t.Context(), info)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(corpusDir, info.Name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("shard %s: %d bytes, %d in the folder, %v", info.Name, len(got), len(want), err)
			}
		}
	}
	some := c.corpus.Splits.Train.Shards[0]
	for _, r := range []wire.Range{
		{Name: "../manifest.json", Length: 10}, {Name: some.SHA256, Offset: -1, Length: 10},
		{Name: some.SHA256, Offset: some.Bytes + 1, Length: 10}, {Name: some.SHA256, Length: wire.MaxChunk + 1},
		{Name: some.SHA256, Length: -1}, {Name: shard.BundleName, Offset: -1},
	} {
		if _, _, err := transfer.Fetch(t.Context(), c.conn, subject, r); err == nil {
			t.Errorf("%+v is answered", r)
		}
	}
}
