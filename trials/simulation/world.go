package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/runspec"
)

// What is the same in all runs.
const (
	failureTimeout = time.Second
	build          = "v1"
	specHash       = "spec"
	corpusHash     = "corpus"
)

var runHash = allreduce.RunHash("simulation")

// setup is what a seed makes of the run itself.
type setup struct {
	workers, least, coordinators int
	microBatches                 int
	steps                        uint64
	saveEvery                    time.Duration
	compute                      time.Duration // of one micro-batch
	uneven                       bool          // some are faster than others
	ring                         string        // how it goes, as a spec says it
}

// world is everything.
type world struct {
	rng    *rand.Rand
	now    time.Duration
	agenda agenda
	added  uint64
	events int

	setup  setup
	rule   replica.Rule
	bug    Bug
	calm   bool // workers come and go as they are asked to; nothing fails
	silent bool // what ends now is not seen to end
	// silence is after how long a neighbour counts as lost from which nothing comes.
	// 0: never.
	silence  time.Duration
	corrupts string // the worker whose state is tampered with when it begins

	processes []*process
	byName    map[string]*process
	pids      int
	lines     map[[2]*process]*pipe
	broker    *broker
	store     *store
	folder    folder
	parent    *parent
	oracle    *oracle
	faults    *faults

	record  bool
	said    []string
	failure error
}

// newWorld draws a run and what goes wrong in it.
func newWorld(seed uint64, bug Bug, record bool) (*world, error) {
	rng := rand.New(rand.NewPCG(seed, 0x6772616d6d65))
	w := &world{rng: rng, bug: bug, record: record}
	s := setup{
		workers: 1 + rng.IntN(4), coordinators: 1 + rng.IntN(2), microBatches: 3 + rng.IntN(4), steps: uint64(5 + rng.IntN(10)),
		saveEvery: w.between(200*time.Millisecond, 3*time.Second), compute: w.between(2*time.Millisecond, 60*time.Millisecond),
	}
	s.least = 1 + rng.IntN(min(2, s.workers))
	s.uneven = w.chance(2)
	s.ring = runspec.RingAuto
	if w.chance(6) {
		s.ring = wire.RingBroker
	}
	if seed%16 == 7 { // long enough for shares to follow speeds
		s.steps, s.compute, s.uneven = 40, 60*time.Millisecond, true
	}
	if bug == NoDigests && s.workers > 2 {
		w.corrupts = "w1"
	}
	err := w.build(s)
	if seed%8 == 3 {
		w.parent.workers[0].far = w.between(5*time.Millisecond, 50*time.Millisecond)
	}
	w.faults.plan()
	return w, err
}

// build makes a cluster to which nothing happens yet.
func (w *world) build(s setup) error {
	w.setup, w.rule, w.silence = s, ruleOf(s.microBatches, s.steps), 4*failureTimeout
	w.lines, w.byName = map[[2]*process]*pipe{}, map[string]*process{}
	w.broker, w.store, w.faults = &broker{w: w}, &store{w: w}, &faults{w: w}
	states, err := reference(s.microBatches, s.steps)
	w.oracle = newOracle(w, states)
	w.parent = newParent(w)
	return err
}

func (w *world) process(name string) *process { return w.byName[name] }

func (w *world) rosterConfig() roster.Config {
	return roster.Config{
		Workers:      runspec.Workers{Min: w.setup.least, Max: w.setup.workers},
		MicroBatches: w.setup.microBatches, Steps: w.setup.steps,
		SpecHash: specHash, CorpusHash: corpusHash, Build: build, FailureTimeout: failureTimeout, Ring: w.setup.ring,
	}
}

// say notes what happens, where somebody wants to read it.
func (w *world) say(format string, args ...any) {
	if w.record {
		line := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ") // of several errors
		w.said = append(w.said, fmt.Sprintf("%8.4f  %s", w.now.Seconds(), line))
	}
}

// fail ends the run: something that must hold does not.
func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
		w.say("FAILED: %v", w.failure)
	}
}

// described is a plan in a few words.
func described(p wire.Plan) string {
	var all []string
	for _, m := range p.Members {
		all = append(all, fmt.Sprintf("%s:%d", m.Incarnation, m.Share))
	}
	return fmt.Sprintf("[%s] %s", strings.Join(all, " "), p.Reason)
}

// patience is how long a run may take once nothing disturbs it any more, beside what
// the slowest worker takes that has to do it all alone.
const patience = 60 * time.Second

// run lets everything happen until the run is over.
func (w *world) run() {
	w.parent.up()
	work := time.Duration(w.setup.steps) * time.Duration(w.setup.microBatches) * w.setup.compute
	for w.failure == nil && !w.parent.over() {
		if !w.next() {
			w.fail("nothing happens any more")
			return
		}
		w.faults.occur()
		if w.faults.over() && w.now > w.faults.quiet+patience+3*work {
			w.fail("the run does not end")
		}
	}
	if w.failure == nil {
		w.oracle.end()
	}
}
