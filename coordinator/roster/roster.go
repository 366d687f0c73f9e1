package roster

import (
	"maps"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// All times follow from the failure timeout, the one that a user sets.

// settle is how long the start waits for more workers after one came.
func (r *Roster) settle() time.Duration { return 5 * r.cfg.FailureTimeout }

// batch is how long a newcomer waits for others, so that one generation takes in
// all: as long as from one heartbeat to the next.
func (r *Roster) batch() time.Duration { return r.cfg.FailureTimeout / 5 }

// grace is how long a new member may be silent before its first heartbeat as one.
// It has work to do before, which does not get less where a user is impatient.
func (r *Roster) grace() time.Duration { return 10 * max(r.cfg.FailureTimeout, time.Second) }

// strange is how long a heartbeat without a registration is remembered.
func (r *Roster) strange() time.Duration { return 10 * r.cfg.FailureTimeout }

// Config is what the roster must know of the run.
type Config struct {
	Workers        runspec.Workers
	MicroBatches   int
	Steps          uint64
	SpecHash       string
	CorpusHash     string
	Build          string
	Ring           string // wire.RingBroker, runspec.RingAuto; else direct
	AllowMixed     bool
	Threads        int    // of a worker, for people; 0: not known
	Device         string // likewise
	KeepSlow       bool   // workers that make the run slower stay
	FailureTimeout time.Duration
}

// Roster is the state machine. One goroutine owns it.
type Roster struct {
	cfg     Config
	workers map[string]*worker // by incarnation
	plan    wire.Plan
	ranks   map[string]int // of the plan, by incarnation
	pending *wire.Plan     // being written
	untold  []wire.Event   // noted, and not known to be in the ledger
	begun   wire.Lineage   // of the members, as noted last
	intent  wire.Intent
	nonce   string

	origin     wire.Numerics // of the newest state that a worker brought
	originStep uint64

	elected bool      // what is stored is known
	known   bool      // registrations are known
	last    time.Time // of Handle
	beaten  time.Time // when any heartbeat came last
	came    time.Time // when a worker last registered

	broken  time.Time // when the ring of this generation was said to be broken; zero: it is not
	trouble string
	tilt    tilt
	evened  time.Time        // when shares were last the reason of a plan; zero: not in this reign
	early   []wire.Suspicion // of the plan that is being written
	dead    map[string]death // by worker ID, as its parent said
	pasts   map[string]*past // of members that were lost, by worker ID

	tempo     tempo
	strikes   int                  // how often in a row the run was slower with some members
	slowdowns map[string]*slowdown // by worker ID
	helps     map[string]time.Time // sets of members that were tried without one, and until when that counts
	bounded   *slowdown            // members that stay, though the run was faster without

	committed uint64
	over      bool // the run has ended and is stored

	tick bool // the event at hand says that time has passed

	state  wire.RunState
	reason string
	out    []Effect
}

// death is the end of a process, of which a registration may still come. Not for
// long: another process may have its number later.
type death struct {
	pid int
	at  time.Time
}

// worker is one incarnation, as far as it is known.
type worker struct {
	reg        wire.Registration
	registered bool
	ended      time.Time // when it was no longer registered
	heard      time.Time // newest heartbeat; zero: none
	deaf       time.Time // since when its heartbeats say that it hears nothing; zero: they do not
	ready      time.Time // when it could first be admitted
	beat       wire.Beat
	refused    string        // why it is not admitted
	waits      string        // why it is not admitted yet, for people
	spare      time.Time     // since when the run has as many as are wanted without it
	gone       wire.Evidence // evidence of its end
	final      bool          // its parent said so, or another has its ID: it does not come back

	// As a member of the plan.
	joined    time.Time
	confirmed bool // it has sent a heartbeat as a member
	awaited   bool // not heard since the coordinator was cut off
	suspects  map[string]wire.Evidence
	asked     time.Time
}

// New returns the roster of a coordinator that is not elected yet.
func New(cfg Config) *Roster {
	return &Roster{cfg: cfg, workers: map[string]*worker{}, dead: map[string]death{}, pasts: map[string]*past{}, slowdowns: map[string]*slowdown{}, helps: map[string]time.Time{}}
}

// Plan is the newest plan that is known to be stored.
func (r *Roster) Plan() wire.Plan { return r.plan }

// Intent is the newest intent.
func (r *Roster) Intent() wire.Intent { return r.intent }

// State tells how the run is, and why.
func (r *Roster) State() (state wire.RunState, reason string) { return r.state, r.reason }

// Committed is the newest durable step.
func (r *Roster) Committed() uint64 { return r.committed }

// Handle takes an event at a time, which never runs backwards, and returns what
// is to be done, in order.
func (r *Roster) Handle(now time.Time, e Event) []Effect {
	r.out = nil
	_, r.tick = e.(Tick)
	r.forgive(now)
	switch e := e.(type) {
	case Elected:
		r.onElected(now, e)
	case Registered:
		r.onRegistered(now, e.All)
	case Beat:
		r.onBeat(now, e.Beat)
	case Suspected:
		r.onSuspected(now, e.Suspicion)
	case ConnectionGone:
		r.onConnectionGone(e)
	case Reconnected:
		r.onReconnected(now)
	case Committed:
		r.committed = max(r.committed, e.Step)
	case Asked:
		r.onAsked(e)
	case Told:
		r.onTold(e.Keys)
	case PlanWritten:
		r.onWritten(now)
	case PlanRejected:
		r.pending = nil
		if e.Stored.Generation > r.plan.Generation {
			r.adopt(now, e.Stored)
			r.recall(e.Stored)
		}
	}
	if r.elected && r.known {
		r.finish()
		r.examine(now)
		_, again := e.(PlanRejected)
		r.decide(now, !again) // a refused plan is tried again at the next tick
	}
	return r.out
}

func (r *Roster) emit(e Effect) { r.out = append(r.out, e) }

// forgive keeps the roster from blaming workers for a time in which it did not
// run itself.
func (r *Roster) forgive(now time.Time) {
	if !r.last.IsZero() && now.Sub(r.last) > r.cfg.FailureTimeout/2 {
		r.restart(now)
	}
	r.last = now
}

// restart lets the clocks of all members begin anew. Who is no member has yet to
// be heard: a start does not count on those who fell silent meanwhile.
func (r *Roster) restart(now time.Time) {
	r.tilt = tilt{} // it may have ended meanwhile
	for _, w := range r.members() {
		for _, t := range []*time.Time{&w.heard, &w.deaf, &w.joined, &w.asked, &w.ended} {
			if !t.IsZero() {
				*t = now
			}
		}
	}
	for _, w := range r.workers {
		w.spare = time.Time{}
	}
}

// onReconnected lets members that were heard before be away for a while: servers of
// NATS that start again find each other later than their clients find them. What
// was said of them meanwhile is a sign of that, not of their end.
func (r *Roster) onReconnected(now time.Time) {
	r.restart(now)
	for _, w := range r.members() {
		w.awaited, w.suspects, w.deaf = true, nil, time.Time{}
	}
}

func (r *Roster) onElected(now time.Time, e Elected) {
	r.elected, r.nonce, r.intent = true, e.Nonce, e.Intent
	r.adopt(now, e.Plan)
	r.recall(e.Plan)
}

// onWritten makes the pending plan the current one.
func (r *Roster) onWritten(now time.Time) {
	if r.pending == nil {
		return
	}
	p, before := *r.pending, r.plan
	r.pending = nil
	r.adopt(now, p)
	r.note(events(p, before))
}

// adopt begins a generation.
func (r *Roster) adopt(now time.Time, p wire.Plan) {
	old := r.ranks
	r.plan, r.broken, r.trouble, r.tilt, r.ranks = p, time.Time{}, "", tilt{}, map[string]int{}
	for rank, m := range p.Members {
		r.ranks[m.Incarnation] = rank
		w := r.workers[m.Incarnation]
		if w == nil { // known from the plan only, so far
			w = &worker{ended: now, reg: wire.Registration{
				ID: m.ID, Incarnation: m.Incarnation, Mailbox: m.Mailbox, Fingerprint: p.Fingerprint,
			}}
			r.workers[m.Incarnation] = w
		}
		if _, ok := old[m.Incarnation]; !ok {
			w.joined, w.confirmed = now, false
		}
	}
	ids, step := make([]string, len(p.Members)), uint64(0)
	for i, m := range p.Members {
		ids[i], step = m.ID, max(step, r.workers[m.Incarnation].beat.Step)
	}
	r.tempo.restart(now, ids, step)
	r.strikes, r.bounded = 0, nil
	for _, in := range slices.Sorted(maps.Keys(old)) {
		if w := r.workers[in]; w != nil && w.gone != "" && w.gone != wire.EvidenceFinished && !w.final && r.rank(in) < 0 {
			r.recordLost(now, w)
		}
	}
	for _, w := range r.sorted() {
		w.suspects, w.asked = nil, time.Time{}
		switch member := r.rank(w.reg.Incarnation) >= 0; {
		case member || !w.registered:
		case w.gone != "":
			r.emit(Evict{w.reg.ID, w.reg.Incarnation})
		case w.refused == "":
			r.check(w) // the numerics of the run may be settled now
		}
	}
	early := r.early
	r.early = nil
	for _, s := range early {
		r.onSuspected(now, s)
	}
}

// finish finds out whether the run has ended and is stored.
func (r *Roster) finish() {
	r.over = r.committed >= r.cfg.Steps
	if r.over || !r.intent.Stop {
		return
	}
	for _, w := range r.workers {
		if !w.registered || w.gone != "" || w.refused != "" {
			continue
		}
		if w.beat.State != wire.WorkerStopped || w.beat.Step > r.committed {
			return // it goes on, or has yet to
		}
	}
	r.over = true
}

// tell says how the run is, where that changed.
func (r *Roster) tell(state wire.RunState, reason string) {
	if state != r.state || reason != r.reason {
		r.state, r.reason = state, reason
		r.emit(StateChanged{state, reason})
	}
}
