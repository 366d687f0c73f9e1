package roster

import (
	"maps"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// All times follow from the failure timeout, the only one that a user sets.

// startWait is how long the start waits for more workers after one registered.
func (r *Roster) startWait() time.Duration { return 5 * r.cfg.FailureTimeout }

// batchWait is how long a newcomer waits for others, so that one generation admits all of
// them: the time between two heartbeats.
func (r *Roster) batchWait() time.Duration { return r.cfg.FailureTimeout / 5 }

// grace is how long a new member may be silent before its first heartbeat as a member. It
// has work to do before, which takes no less time under a short failure timeout.
func (r *Roster) grace() time.Duration { return 10 * max(r.cfg.FailureTimeout, time.Second) }

// unregisteredKept is how long a worker without a registration is remembered.
func (r *Roster) unregisteredKept() time.Duration { return 10 * r.cfg.FailureTimeout }

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
	plan    wire.Plan          // the newest that is known to be stored
	ranks   map[string]int     // of the plan, by incarnation
	pending *wire.Plan         // being written
	intent  wire.Intent
	nonce   string

	unacknowledged []wire.Event // noted, and not known to be in the ledger
	lineage        wire.Lineage // of the members, as noted last

	origin     wire.Numerics // of the newest state that a worker brought
	originStep uint64

	elected            bool      // what is stored is known
	registrationsKnown bool      // a list of registrations has come
	lastEvent          time.Time // when Handle last ran
	lastHeartbeat      time.Time // of any worker
	lastArrival        time.Time // when a worker last registered

	ringBroken      time.Time // when a member last said that the ring of this generation broke; zero: none did
	ringTrouble     string    // why
	imbalance       imbalance
	rebalanced      time.Time              // when wrong shares were last the reason of a plan; zero: not in this term
	earlySuspicions []wire.Suspicion       // of the generation that is being written
	endedProcesses  map[string]endedAt     // by worker ID, as their parents said
	losses          map[string]*lossRecord // of members that were lost, by worker ID

	pace          paceMeter
	slowStretches int                  // how often in a row the run was slower with some members
	slowdowns     map[string]*slowdown // by worker ID
	keepUntil     map[string]time.Time // sets of members that were no faster without one, by their IDs, and until when that counts
	costlyMembers *slowdown            // members that stay although the run was faster without them

	committed uint64
	finished  bool // the run has ended and its last checkpoint is stored

	tick bool // the event at hand is a Tick

	state   wire.RunState
	reason  string
	effects []Effect // of the event at hand
}

// endedAt is when a process ended of which a registration may still come. It counts for
// a short time: another process may get the same PID later.
type endedAt struct {
	pid int
	at  time.Time
}

// worker is one incarnation, as far as it is known.
type worker struct {
	reg            wire.Registration
	registered     bool
	unregisteredAt time.Time // when its registration was missed
	lastHeartbeat  time.Time // zero: none came
	deafSince      time.Time // since when its heartbeats say that it receives nothing; zero: they do not
	readySince     time.Time // when it could first be admitted
	beat           wire.Beat // the newest heartbeat
	refusal        string    // why it cannot be admitted
	waitReason     string    // why it is not admitted yet, for people
	surplusSince   time.Time // since when the run has as many workers as are wanted without it
	gone           wire.Evidence
	final          bool // it does not come back: its parent said that it ended, or another has its ID

	// As a member of the plan.
	memberSince  time.Time
	confirmed    bool                     // it has sent a heartbeat as a member
	reconnecting bool                     // no heartbeat came since the coordinator was cut off
	suspects     map[string]wire.Evidence // what others say of it, by their IDs
	probedAt     time.Time                // when it was asked whether it is there
}

// New returns the roster of a coordinator that is not elected yet.
func New(cfg Config) *Roster {
	return &Roster{cfg: cfg, workers: map[string]*worker{}, endedProcesses: map[string]endedAt{}, losses: map[string]*lossRecord{}, slowdowns: map[string]*slowdown{}, keepUntil: map[string]time.Time{}}
}

// Plan is the newest plan that is known to be stored.
func (r *Roster) Plan() wire.Plan { return r.plan }

// State is the state of the run, and why.
func (r *Roster) State() (state wire.RunState, reason string) { return r.state, r.reason }

// Committed is the newest durable step.
func (r *Roster) Committed() uint64 { return r.committed }

// Handle takes an event and the time, which never runs backwards, and returns the effects
// to carry out. The list in the package comment says in what order.
func (r *Roster) Handle(now time.Time, e Event) []Effect {
	r.effects = nil
	_, r.tick = e.(Tick)
	r.resetAfterStall(now)
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
	case Requested:
		r.onRequested(e)
	case Acknowledged:
		r.onAcknowledged(e.Keys)
	case PlanWritten:
		r.onWritten(now)
	case PlanRejected:
		r.pending = nil
		if e.Stored.Generation > r.plan.Generation {
			r.adopt(now, e.Stored)
			r.recordCarried(e.Stored)
		}
	}
	if r.elected && r.registrationsKnown {
		r.checkFinished()
		r.checkLiveness(now)
		_, again := e.(PlanRejected)
		r.decide(now, !again) // a rejected plan is tried again at the next tick
	}
	return r.effects
}

func (r *Roster) emit(e Effect) { r.effects = append(r.effects, e) }

// resetAfterStall keeps the roster from blaming workers for a time in which it did not run
// itself.
func (r *Roster) resetAfterStall(now time.Time) {
	if !r.lastEvent.IsZero() && now.Sub(r.lastEvent) > r.cfg.FailureTimeout/2 {
		r.resetTimers(now)
	}
	r.lastEvent = now
}

// resetTimers restarts the timers of all members. Other workers have to be heard again: a
// start does not count on workers that fell silent meanwhile.
func (r *Roster) resetTimers(now time.Time) {
	r.imbalance = imbalance{} // the shares may be right meanwhile
	for _, w := range r.members() {
		for _, t := range []*time.Time{&w.lastHeartbeat, &w.deafSince, &w.memberSince, &w.probedAt, &w.unregisteredAt} {
			if !t.IsZero() {
				*t = now
			}
		}
	}
	for _, w := range r.workers {
		w.surplusSince = time.Time{}
	}
}

// onReconnected lets members be silent for a while: NATS servers that start again find each
// other later than their clients find them. Suspicions from that time are evidence of the
// outage, not of a death.
func (r *Roster) onReconnected(now time.Time) {
	r.resetTimers(now)
	for _, w := range r.members() {
		w.reconnecting, w.suspects, w.deafSince = true, nil, time.Time{}
	}
}

func (r *Roster) onElected(now time.Time, e Elected) {
	r.elected, r.nonce, r.intent = true, e.Nonce, e.Intent
	r.adopt(now, e.Plan)
	r.recordCarried(e.Plan)
}

// onWritten makes the pending plan the current one.
func (r *Roster) onWritten(now time.Time) {
	if r.pending == nil {
		return
	}
	p, before := *r.pending, r.plan
	r.pending = nil
	r.adopt(now, p)
	r.record(events(p, before))
}

// adopt makes a stored plan the current one.
func (r *Roster) adopt(now time.Time, p wire.Plan) {
	old := r.ranks
	r.plan, r.ringBroken, r.ringTrouble, r.imbalance, r.ranks = p, time.Time{}, "", imbalance{}, map[string]int{}
	for rank, m := range p.Members {
		r.ranks[m.Incarnation] = rank
		w := r.workers[m.Incarnation]
		if w == nil { // only the plan names it so far
			w = &worker{unregisteredAt: now, reg: wire.Registration{
				ID: m.ID, Incarnation: m.Incarnation, Mailbox: m.Mailbox, Fingerprint: p.Fingerprint,
			}}
			r.workers[m.Incarnation] = w
		}
		if _, ok := old[m.Incarnation]; !ok {
			w.memberSince, w.confirmed = now, false
		}
	}
	ids, step := make([]string, len(p.Members)), uint64(0)
	for i, m := range p.Members {
		ids[i], step = m.ID, max(step, r.workers[m.Incarnation].beat.Step)
	}
	r.pace.begin(now, ids, step)
	r.slowStretches, r.costlyMembers = 0, nil
	for _, in := range slices.Sorted(maps.Keys(old)) {
		if w := r.workers[in]; w != nil && w.gone != "" && w.gone != wire.EvidenceFinished && !w.final && r.rank(in) < 0 {
			r.recordLoss(now, w)
		}
	}
	for _, w := range r.sorted() {
		w.suspects, w.probedAt = nil, time.Time{}
		switch member := r.rank(w.reg.Incarnation) >= 0; {
		case member || !w.registered:
		case w.gone != "":
			r.emit(Evict{w.reg.ID, w.reg.Incarnation})
		case w.refusal == "":
			r.checkAdmissible(w) // the plan may have decided the numerics of the run
		}
	}
	early := r.earlySuspicions
	r.earlySuspicions = nil
	for _, s := range early {
		r.onSuspected(now, s)
	}
}

// checkFinished finds out whether the run has ended and its last checkpoint is stored.
func (r *Roster) checkFinished() {
	r.finished = r.committed >= r.cfg.Steps
	if r.finished || !r.intent.Stop {
		return
	}
	for _, w := range r.workers {
		if !w.registered || w.gone != "" || w.refusal != "" {
			continue
		}
		if w.beat.State != wire.WorkerStopped || w.beat.Step > r.committed {
			return // it trains, or has yet to begin
		}
	}
	r.finished = true
}

// setState reports the state of the run where it changed.
func (r *Roster) setState(state wire.RunState, reason string) {
	if state != r.state || reason != r.reason {
		r.state, r.reason = state, reason
		r.emit(StateChanged{state, reason})
	}
}
