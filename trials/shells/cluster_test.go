package shells

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs/vfstest"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/trials/toy"
	"github.com/gramme-project/gramme/worker"
)

// setup is what a seed makes of the run.
type setup struct {
	workers, coordinators int
	microBatches          int
	steps                 uint64
	saveEvery             time.Duration
	compute               time.Duration // of one micro-batch
	uneven                bool          // some workers are slower than others
}

// cluster is a run with all its processes. One goroutine drives it, and owns what has no
// lock of its own.
type cluster struct {
	seed   uint64
	rng    *rand.Rand
	setup  setup
	spec   runspec.Spec
	rule   replica.Rule
	states []*replica.State // after every step of an undisturbed run
	corpus shard.Manifest
	dir    rundir.Dir
	disk   vfstest.Mirror
	bus    *membus.Server
	store  *memstore.Server
	rings  *rings
	net    *network
	up     *membus.Conn // of whoever starts the processes

	services []*process
	workers  []*process
	pids     int
	running  sync.WaitGroup
	ends     chan ended
	do       chan func()
	over     chan struct{} // closed: the driver does not listen any more
	closing  bool
	faults   faults

	began   time.Time
	log     *zap.Logger
	journal journal

	emptied bool // the store was emptied: events of its plans may be lost

	mu        sync.Mutex
	failure   error
	announced wire.Committed // the newest
}

// ended is the end of a life.
type ended struct {
	l   *life
	err error
}

// mostWorkers is how many may be there at a time.
const mostWorkers = 5

// newCluster makes a cluster in an empty folder. It belongs into the bubble of a test.
func newCluster(seed uint64, dir string, s setup) (*cluster, error) {
	c := &cluster{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x7368656c6c73)), setup: s, dir: rundir.Dir(dir), corpus: corpus.manifest,
		bus: membus.New(), store: memstore.New(), rings: &rings{all: map[string]*hall{}},
		ends: make(chan ended), do: make(chan func()), over: make(chan struct{}), began: time.Now(),
	}
	encoder := zap.NewDevelopmentEncoderConfig()
	encoder.TimeKey, encoder.CallerKey, encoder.StacktraceKey = "", "", ""
	c.log = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.AddSync(&c.journal), zapcore.InfoLevel), zap.Hooks(c.logged))
	c.journal.began = c.began
	c.net = newNetwork(c.bus, seed)
	c.up = c.bus.Connect(wire.IDUp)
	var err error
	if c.spec, err = specOf(s); err != nil {
		return nil, err
	}
	c.rule = c.spec.Rule(model.NewLayout(c.spec.ModelConfig(c.spec.VocabSize)))
	if c.states, err = reference(c.rule); err != nil {
		return nil, err
	}
	if _, err := bus.Subscribe(c.up, wire.SubjectsOf(c.spec.Run).Committed(), c.committed); err != nil {
		return nil, err
	}
	if err := errors.Join(c.dir.Make(), os.Symlink(corpus.dir, c.dir.Corpus()), c.spec.Write(c.dir.Spec()), c.takeStore()); err != nil {
		return nil, err
	}
	if c.disk, err = vfstest.NewMirror(dir); err != nil {
		return nil, err
	}
	c.services = append(c.services, &process{c: c, id: wire.IDCheckpoint, role: wire.RoleCheckpoint, run: c.runService})
	for i := range s.coordinators {
		c.services = append(c.services, &process{c: c, id: fmt.Sprintf("c%d", i+1), role: wire.RoleCoordinator, run: c.runCoordinator})
	}
	for i := range mostWorkers {
		c.workers = append(c.workers, &process{c: c, id: fmt.Sprintf("w%d", i+1), role: wire.RoleWorker, run: c.runWorker})
	}
	return c, nil
}

// specOf is the spec of a run of a model of some two thousand weights.
func specOf(s setup) (runspec.Spec, error) {
	spec, _, err := runspec.New()
	if err != nil {
		return spec, err
	}
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "trial", s.steps, runspec.PrecisionF32, 1
	spec.VocabSize, spec.MaxSeq = corpus.manifest.VocabSize, maxSeq
	m := &spec.Model
	m.HiddenSize, m.Layers, m.Heads, m.IntermediateSize, m.MaxPositions = 8, 1, 2, 16, maxSeq
	spec.Batch.MicroBatches = s.microBatches
	spec.Workers, spec.FailureTimeout = runspec.Workers{Min: 1, Max: s.workers}, time.Second
	spec.Checkpoint.Every, spec.Checkpoint.Keep = s.saveEvery, 2
	spec.StopOnDivergence = "never"
	return spec, spec.Complete()
}

var references struct {
	sync.Mutex
	of map[[2]uint64][]*replica.State
}

// reference returns the states of an undisturbed run, computed once for all seeds.
func reference(r replica.Rule) ([]*replica.State, error) {
	references.Lock()
	defer references.Unlock()
	key := [2]uint64{uint64(r.MicroBatches), r.Steps}
	if states, ok := references.of[key]; ok {
		return states, nil
	}
	states, err := toy.Undisturbed(r)
	if err == nil {
		if references.of == nil {
			references.of = map[[2]uint64][]*replica.State{}
		}
		references.of[key] = states
	}
	return states, err
}

// after lets the driver do something later.
func (c *cluster) after(d time.Duration, f func()) { time.AfterFunc(d, func() { c.post(f) }) }

// post lets the driver do something soon.
func (c *cluster) post(f func()) {
	select {
	case c.do <- f:
	case <-c.over:
	}
}

// between draws a duration.
func (c *cluster) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.rng.Int64N(int64(most-least)+1))
}

// chance is true once in n times.
func (c *cluster) chance(n int) bool { return c.rng.IntN(n) == 0 }

func (c *cluster) say(format string, args ...any) {
	c.log.Info("-- " + fmt.Sprintf(format, args...))
}

// fail notes that something does not hold that must.
func (c *cluster) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = fmt.Errorf(format, args...)
		c.log.Error("FAILED: " + c.failure.Error())
	}
}

func (c *cluster) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// patience is how long a run may take once nothing disturbs it any more. A computation
// that hangs may be noticed after four minutes, on a busy processor, and the slowest
// worker may have to do the rest alone.
const patience = 20 * time.Minute

// run drives the cluster to the end of its run, and ends all processes.
func (c *cluster) run() {
	for _, p := range c.services {
		p.start(c.between(0, 100*time.Millisecond))
	}
	for _, p := range c.workers[:c.setup.workers] {
		p.start(c.between(0, 400*time.Millisecond))
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	strike := time.NewTimer(c.faults.gap(c))
	defer strike.Stop()
	for c.failed() == nil && !c.done() {
		select {
		case e := <-c.ends:
			c.exited(e)
		case f := <-c.do:
			f()
		case <-strike.C:
			c.faults.occur(c)
			strike.Reset(c.faults.gap(c))
		case <-look.C:
			c.look()
			if c.faults.over() && time.Since(c.faults.quiet) > patience {
				c.fail("the run does not end")
			}
		}
	}
	c.close()
}

// done reports whether the last step is stored and all workers have left.
func (c *cluster) done() bool {
	if !c.gone() {
		return false
	}
	steps, err := checkpoint.Steps(string(c.dir))
	if err != nil {
		c.fail("%v", err)
	}
	return len(steps) > 0 && steps[len(steps)-1] >= c.spec.Steps
}

// gone reports whether no worker runs or is about to.
func (c *cluster) gone() bool {
	for _, p := range c.workers {
		if p.life != nil || p.starting {
			return false
		}
	}
	return true
}

// close ends all processes: the coordinators first, so that their last events reach the
// ledger.
func (c *cluster) close() {
	c.net.calm()
	for _, p := range c.services {
		for c.failed() == nil && p.life == nil {
			c.next()
		}
	}
	c.closing = true
	if c.failed() != nil {
		for _, p := range append(c.services, c.workers...) {
			if p.life != nil {
				p.life.kill(false)
			}
		}
	}
	for i := len(c.services) - 1; i >= 0; i-- {
		for p := c.services[i]; p.life != nil; {
			p.life.cancel()
			c.next()
		}
	}
	close(c.over)
	c.up.Close()
	c.running.Wait()
}

// next waits for the next thing that happens.
func (c *cluster) next() {
	select {
	case e := <-c.ends:
		c.exited(e)
	case f := <-c.do:
		f()
	}
}

// exited sees the end of a life by itself.
func (c *cluster) exited(e ended) {
	p := e.l.p
	if p.life != e.l {
		return // it was killed
	}
	c.say("%s ends: %v", e.l.name(), e.err)
	p.life = nil
	switch {
	case p.role == wire.RoleWorker && (e.err == nil || errors.Is(e.err, worker.ErrDrained)):
		p.finished = true
		if e.err == nil {
			c.finished(e.l)
		}
	case !c.closing:
		c.again(p, e.l.pid)
	case e.err != nil:
		c.fail("%s ends with %v", p.id, e.err)
	}
}

// crash ends a life that runs.
func (c *cluster) crash(l *life, silent bool) {
	if l == nil || l.p.life != l {
		return
	}
	c.say("%s crashes (silent: %v)", l.name(), silent)
	l.kill(silent)
	if l.p.role == wire.RoleCheckpoint {
		c.loseUnsynced()
	}
	c.again(l.p, l.pid)
}

// again starts a process that should run.
func (c *cluster) again(p *process, pid int) {
	if p.role == wire.RoleWorker && !c.chance(3) {
		c.tell(wire.Suspicion{From: wire.IDUp, Subject: p.id, PID: pid, Evidence: wire.EvidenceEnded, Final: true})
	}
	after := c.between(50*time.Millisecond, 3*time.Second)
	if c.chance(4) {
		after = c.between(0, 50*time.Millisecond)
	}
	p.start(after)
}

// look begins again where all workers have left and steps are left to do.
func (c *cluster) look() {
	if !c.gone() || c.done() {
		return
	}
	c.say("all workers have left: everything begins again")
	c.restart(c.chance(2))
}

// journal keeps what the processes log, with the virtual time.
type journal struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%9.4f %s", time.Since(j.began).Seconds(), strings.TrimSuffix(string(b), "\n")))
	return len(b), nil
}

// last returns the newest lines.
func (j *journal) last(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines[max(0, len(j.lines)-n):], "\n")
}
