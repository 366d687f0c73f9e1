package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/memlink"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/sampler"
)

// pureTrainer has gradients that depend on the weights, the batch and the seed,
// and that differ in every element.
type pureTrainer struct {
	weights, gradient []float32
	rest              time.Duration // how long a micro-batch takes
	disturb           func(step uint64)
}

func newPureTrainer(l model.Layout) *pureTrainer {
	t := &pureTrainer{weights: make([]float32, l.Total), gradient: make([]float32, l.Total)}
	for i := range t.weights {
		t.weights[i] = float32(i%13) * 0.01
	}
	return t
}

func (t *pureTrainer) Weights() []float32    { return t.weights }
func (t *pureTrainer) Gradient() []float32   { return t.gradient }
func (t *pureTrainer) WeightsChanged() error { return nil }

func (t *pureTrainer) Compute(b sampler.Batch, seed uint64) (replica.Measured, error) {
	time.Sleep(t.rest)
	t.disturb(uint64(b.IDs[0] / 100))
	src := rng.New(seed, uint64(b.IDs[0]))
	for i := range t.gradient {
		t.gradient[i] = float32(src.Float64()-0.5) + 0.1*t.weights[i]
	}
	return replica.Measured{MLMLoss: 2, NSPLoss: 0.5, MLMCount: 3, NSPCount: 1, Tokens: 8}, nil
}

type noMeter struct{}

func (noMeter) Phase(energy.Phase, uint64, uint64) {}
func (noMeter) Totals() (float64, float64)         { return 0, 0 }

// cluster is all but the workers, in memory: a bus, a ring, a store, a coordinator that
// writes plans when the test says so, and a checkpoint service that keeps one state.
type cluster struct {
	t      *testing.T
	dial   func() conn
	ring   memlink.Network
	server *memstore.Server
	store  *memstore.Store
	lead   membership.Leadership
	spec   runspec.Spec
	layout model.Layout
	conn   conn

	mu     sync.Mutex
	got    map[uint64]map[string]int // elements, by step and part
	flat   map[string][]float32      // elements that came last, by part
	meta   []byte                    // that came last
	stored uint64
	digest map[uint64]string
	beats  map[string]wire.Beat
	ripe   uint64 // generation before which the last state is not stored

	links   func(id string, cfg *Config) (stop func()) // of a worker to the ring; nil: in memory
	route   string                                     // of the ring, as plans tell
	durable uint64                                     // newest stored step, as plans tell
}

// conn is a connection of the test to a bus of either kind.
type conn interface {
	bus.Conn
	Close()
}

func newCluster(t *testing.T, steps uint64) *cluster {
	t.Helper()
	server := membus.New()
	return newClusterOn(t, steps, func() conn { return server.Connect("test") })
}

// newClusterOn makes a cluster on a bus.
func newClusterOn(t *testing.T, steps uint64, connect func() conn) *cluster {
	t.Helper()
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "test", steps, runspec.PrecisionF32, 1
	spec.Batch.MicroBatches = 6
	spec.Workers = runspec.Workers{Min: 1, Max: 1}
	spec.FailureTimeout = 500 * time.Millisecond
	server := memstore.New()
	c := &cluster{
		t: t, server: server, store: server.Connect(), spec: spec, got: map[uint64]map[string]int{}, flat: map[string][]float32{}, digest: map[uint64]string{}, beats: map[string]wire.Beat{},
		layout: model.NewLayout(model.Config{VocabSize: 40, HiddenSize: 8, Layers: 1, Heads: 2, IntermediateSize: 16, MaxPositions: 8, TypeVocabSize: 2}),
	}
	c.dial = func() conn {
		conn := connect()
		t.Cleanup(conn.Close)
		return conn
	}
	c.conn = c.dial()
	if c.lead, err = c.store.Campaign(t.Context(), "test", time.Second); err != nil {
		t.Fatal(err)
	}
	s := wire.SubjectsOf("test")
	for subject, h := range map[string]func(*bus.Message){
		s.SnapshotInfo(wire.IDCheckpoint): c.info, s.Snapshot(wire.IDCheckpoint): c.snapshot, s.Slice(): c.slice, s.Beats(): c.beat,
	} {
		if _, err := bus.Subscribe(c.conn, subject, h); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *cluster) info(m *bus.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = bus.Respond(m, wire.SnapshotInfo{ // a worker without an answer asks again
		Found: c.stored > 0, Step: c.stored, Elements: c.layout.Total, Meta: c.meta, Digest: c.digest[c.stored],
	}, nil)
}

// snapshot gives a part of what is stored.
func (c *cluster) snapshot(m *bus.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) { // a worker without an answer asks again
		return transfer.Piece(replica.Bytes(c.flat[r.Name]), r)
	})
}

func (c *cluster) slice(m *bus.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var h wire.SliceHeader
	if err := json.Unmarshal([]byte(m.Header[wire.HeaderSlice]), &h); err != nil {
		c.t.Error(err)
	}
	if c.got[h.Step] == nil {
		c.got[h.Step] = map[string]int{}
	}
	c.got[h.Step][h.Part] += h.Count
	if c.flat[h.Part] == nil {
		c.flat[h.Part] = make([]float32, c.layout.Total)
	}
	copy(replica.Bytes(c.flat[h.Part][h.Offset:]), m.Data)
	if h.Digest != "" {
		c.digest[h.Step], c.meta = h.Digest, h.Meta
	}
	g := c.got[h.Step]
	if h.Final && h.Generation >= c.ripe && g[wire.PartWeights] >= c.layout.Total && g[wire.PartMoment1] >= c.layout.Total && g[wire.PartMoment2] >= c.layout.Total {
		c.stored = h.Step
	}
	_ = bus.Respond(m, nil, nil) // a worker without an answer asks again
}

func (c *cluster) beat(m *bus.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b wire.Beat
	if err := json.Unmarshal(m.Data, &b); err != nil {
		c.t.Error(err)
	}
	c.beats[b.ID] = b
}

// ringLinks connect a worker to its neighbours in memory.
type ringLinks struct {
	network *memlink.Network
	id      string
}

func (l ringLinks) URL() string { return "memory://" + l.id }

func (l ringLinks) Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error) {
	return l.network.Join(ctx, fmt.Sprint(p.Generation), rank, len(p.Members))
}

// running is a worker in the background.
type running struct {
	id     string
	cancel context.CancelFunc
	drain  chan struct{}
	ended  chan error
}

func (c *cluster) start(id string) *running {
	return c.startWith(id, func(uint64, *pureTrainer) {})
}

// startWith calls disturb before each gradient. change may alter the worker.
func (c *cluster) startWith(id string, disturb func(step uint64, t *pureTrainer), change ...func(*Config)) *running {
	ctx, cancel := context.WithCancel(c.t.Context())
	r := &running{id: id, cancel: cancel, drain: make(chan struct{}), ended: make(chan error, 1)}
	trainer := newPureTrainer(c.layout)
	trainer.rest = 2 * time.Millisecond
	trainer.disturb = func(step uint64) { disturb(step, trainer) }
	cfg := Config{
		Registration: wire.Registration{ID: id}, Spec: c.spec, Layout: c.layout, Trainer: trainer,
		Batch: func(step uint64, index int) (sampler.Batch, error) {
			return sampler.Batch{IDs: []int64{int64(step)*100 + int64(index)}}, nil
		},
		Store: c.store, Bus: c.dial(), Links: ringLinks{&c.ring, id}, Meter: noMeter{}, Cores: 1,
		Log: zaptest.NewLogger(c.t, zaptest.Level(zap.WarnLevel)).Named(id), Drain: r.drain,
	}
	stop := func() {}
	if c.links != nil {
		stop = c.links(id, &cfg)
	}
	for _, f := range change {
		f(&cfg)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := Run(ctx, cfg)
		stop()
		r.ended <- err
	}()
	c.t.Cleanup(func() { cancel(); <-over })
	return r
}

// plan waits until the workers are registered and makes them the members.
func (c *cluster) plan(generation uint64, ids ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	regs, err := c.store.WatchWorkers(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	for all := range regs {
		p := wire.Plan{Generation: generation, MicroBatches: c.spec.Batch.MicroBatches, Ring: c.route, Stored: c.durable, Reason: "test"}
		for _, id := range ids {
			for _, r := range all {
				if r.ID == id {
					p.Members = append(p.Members, wire.Member{ID: id, Incarnation: r.Incarnation, Mailbox: r.Mailbox})
				}
			}
		}
		if len(p.Members) < len(ids) {
			continue
		}
		for i := range p.MicroBatches {
			p.Members[i%len(ids)].Share++
		}
		if err := c.lead.PutPlan(ctx, p); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	c.t.Fatal("the workers did not register")
}

// until waits for a heartbeat of a worker.
func (c *cluster) until(id string, ok func(wire.Beat) bool) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		b := c.beats[id]
		c.mu.Unlock()
		if ok(b) {
			return
		}
	}
	c.t.Fatalf("%s: the heartbeat that was waited for did not come", id)
}

// reached waits until a worker says that it applied a step.
func (c *cluster) reached(id string, step uint64) {
	c.t.Helper()
	c.until(id, func(b wire.Beat) bool { return b.Step >= step })
}

// suspicions are those that the workers tell from now on.
func (c *cluster) suspicions() <-chan wire.Suspicion {
	c.t.Helper()
	said := make(chan wire.Suspicion, 64)
	if _, err := bus.Subscribe(c.conn, wire.SubjectsOf("test").Suspect(), func(m *bus.Message) {
		var s wire.Suspicion
		if err := wire.Decode(m.Data, &s); err != nil {
			c.t.Error(err)
		}
		said <- s
	}); err != nil {
		c.t.Fatal(err)
	}
	return said
}

func (r *running) end(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-r.ended:
		if !errors.Is(err, want) {
			t.Fatalf("%s ended with %v, not %v", r.id, err, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end", r.id)
	}
}

func (c *cluster) final() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stored != c.spec.Steps || c.digest[c.stored] == "" {
		c.t.Fatalf("stored step %d of %d, digest %q", c.stored, c.spec.Steps, c.digest[c.stored])
	}
	return c.digest[c.stored]
}

// calm is the digest of an undisturbed run of one worker.
func calm(t *testing.T, steps uint64) string {
	c := newCluster(t, steps)
	w := c.start("a")
	c.plan(1, "a")
	w.end(t, nil)
	return c.final()
}

func TestAnyNumberOfWorkersGivesTheSameState(t *testing.T) {
	synctest.Test(t, anyNumberOfWorkersGivesTheSameState)
}

func anyNumberOfWorkersGivesTheSameState(t *testing.T) {
	want := calm(t, 12)
	for _, n := range []int{2, 3, 5} {
		c := newCluster(t, 12)
		var all []*running
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("w%d", i))
			all = append(all, c.start(ids[i]))
		}
		c.plan(1, ids...)
		for _, w := range all {
			w.end(t, nil)
		}
		if got := c.final(); got != want {
			t.Errorf("%d workers end with %s, one with %s", n, got, want)
		}
	}
}

func TestWorkersComeGoAndDie(t *testing.T) { synctest.Test(t, workersComeGoAndDie) }

func workersComeGoAndDie(t *testing.T) {
	const steps = 60
	want := calm(t, steps)
	c := newCluster(t, steps)
	a, b := c.start("a"), c.start("b")
	c.plan(1, "a", "b")
	c.reached("a", 8)
	b.cancel() // as if killed: its connections close in the middle of a step
	<-b.ended
	c.plan(2, "a")
	c.reached("a", 14)
	d, e := c.start("d"), c.start("e")
	c.plan(3, "a", "d", "e")
	c.reached("e", 22)
	close(a.drain)
	c.until("d", func(b wire.Beat) bool { return b.State == wire.WorkerHolding })
	c.plan(4, "d", "e")
	a.end(t, ErrDrained)
	c.reached("e", 30)
	old := c.registered("d")
	c.plan(5, "e") // d is thrown out though it lives: it comes back
	c.registered("d", old)
	c.reached("e", 34)
	c.plan(6, "d", "e")
	d.end(t, nil)
	e.end(t, nil)
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
}

// TestAReplicaThatDiffersIsFoundAndHealed changes a bit in the state of one of
// three workers, as a failing memory would.
func TestAReplicaThatDiffersIsFoundAndHealed(t *testing.T) {
	for name, steps := range map[string]uint64{"a comparison that is due": 3 * digestEvery, "the last step": 2*digestEvery - 5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { heal(t, steps, min(steps, 2*digestEvery)) })
		})
	}
}

// heal is a run in which the replicas compare before a step what differs since an
// earlier one.
func heal(t *testing.T, steps, compared uint64) {
	c := newCluster(t, steps)
	notes := make(chan wire.Event, 16)
	if _, err := bus.Subscribe(c.conn, wire.SubjectsOf("test").Events(), func(m *bus.Message) {
		var events []wire.Event
		if err := wire.Decode(m.Data, &events); err != nil {
			t.Error(err)
		}
		for _, e := range events {
			notes <- e
		}
	}); err != nil {
		t.Fatal(err)
	}
	suspicions := c.suspicions()
	a, b, d := c.start("a"), c.start("b"), c.startWith("d", func(step uint64, t *pureTrainer) {
		if step == digestEvery+2 {
			t.weights[5] += 1e-3
		}
	})
	c.plan(1, "a", "b", "d")
	seen := map[string]bool{} // all three see it, in the same step
	for len(seen) < 3 {
		select {
		case s := <-suspicions:
			seen[s.From] = true
			if !strings.Contains(string(s.Evidence), fmt.Sprintf("not equal before step %d", compared)) || s.Subject != "" {
				t.Errorf("suspicion %+v", s)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("that a replica differs was seen by %v", seen)
		}
	}
	c.plan(2, "a", "b", "d")
	for _, w := range []*running{a, b, d} {
		w.end(t, nil)
	}
	c.final() // the slices of all three are of one state
	select {
	case e := <-notes:
		if e.Kind != wire.EventReplicaDiffers || !strings.Contains(e.Reason, "worker d differed") {
			t.Errorf("note %+v", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("the ledger is not told")
	}
}

// TestReplicasOfAStoppedRunCompareInANewGeneration has replicas that differ when
// they agree to stop: no step compares them any more, and their slices make no state.
func TestReplicasOfAStoppedRunCompareInANewGeneration(t *testing.T) {
	synctest.Test(t, replicasOfAStoppedRunCompareInANewGeneration)
}

func replicasOfAStoppedRunCompareInANewGeneration(t *testing.T) {
	c := newCluster(t, 100000)
	c.ripe = 2
	healed := make(chan wire.Event, 16)
	if _, err := bus.Subscribe(c.conn, wire.SubjectsOf("test").Events(), func(m *bus.Message) {
		var events []wire.Event
		if err := wire.Decode(m.Data, &events); err != nil {
			t.Error(err)
		}
		healed <- events[0]
	}); err != nil {
		t.Fatal(err)
	}
	a, b, d := c.start("a"), c.start("b"), c.startWith("d", func(step uint64, t *pureTrainer) {
		if step == 3 {
			t.weights[5] += 1e-3
		}
	})
	if err := c.lead.PutIntent(t.Context(), wire.Intent{}); err != nil {
		t.Fatal(err)
	}
	c.plan(1, "a", "b", "d")
	c.reached("b", 4)
	if err := c.lead.PutIntent(t.Context(), wire.Intent{Stop: true}); err != nil {
		t.Fatal(err)
	}
	c.until("d", func(b wire.Beat) bool { return b.State == wire.WorkerStopped && b.Step%digestEvery != 0 })
	c.plan(2, "a", "b", "d") // as the checkpoint service asks for
	for _, w := range []*running{a, b, d} {
		w.end(t, nil)
	}
	select {
	case e := <-healed:
		if e.Kind != wire.EventReplicaDiffers || !strings.Contains(e.Reason, "worker d differed") {
			t.Errorf("note %+v", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("the replica that differs has not taken the state of the others")
	}
}

func TestAStopIsAgreedOn(t *testing.T) { synctest.Test(t, aStopIsAgreedOn) }

func aStopIsAgreedOn(t *testing.T) {
	c := newCluster(t, 100000)
	a, b := c.start("a"), c.start("b")
	c.plan(1, "a", "b")
	c.reached("b", 3)
	if err := c.lead.PutIntent(t.Context(), wire.Intent{Stop: true}); err != nil {
		t.Fatal(err)
	}
	a.end(t, nil)
	b.end(t, nil)
	if c.stored < 3 {
		t.Errorf("stored step %d", c.stored)
	}
}

// TestAWorkerOutsideIsAskedToLeave has no plan that could leave it out: it came
// when the run had ended, or when fewer were wanted.
func TestAWorkerOutsideIsAskedToLeave(t *testing.T) { synctest.Test(t, aWorkerOutsideIsAskedToLeave) }

func aWorkerOutsideIsAskedToLeave(t *testing.T) {
	c := newCluster(t, 6)
	w := c.start("late")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	regs, err := c.store.WatchWorkers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for all := range regs {
		if len(all) == 0 {
			continue
		}
		if err := c.lead.PutIntent(ctx, wire.Intent{Drain: []string{all[0].Incarnation}}); err != nil {
			t.Fatal(err)
		}
		break
	}
	w.end(t, ErrDrained)
}
