package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/replica"
	"github.com/gramme-project/gramme/internal/wire"
)

// State is what a worker is doing, as heartbeats and the status show it.
type State string

// The states.
const (
	Joining    State = "joining"     // registered, in no plan yet; ready to be
	Following  State = "following"   // taking the members' state and their entries, to be ready
	Greeting   State = "greeting"    // waiting for the hellos of a generation
	CatchingUp State = "catching up" // fetching an entry or a snapshot
	Computing  State = "computing"
	Reducing   State = "reducing"
	Holding    State = "holding" // between two steps, until the next plan
	Broken     State = "broken"  // the ring is gone; until the next plan
	Stopped    State = "stopped" // the run has ended; until its checkpoint stands
)

// Config is what the machine must know of the run and of this worker.
type Config struct {
	ID, Incarnation string
	Steps           uint64 // of the run
	FailureTimeout  time.Duration
	SaveEvery       time.Duration // between checkpoints
}

// Machine is the state machine of one worker. One goroutine owns it.
type Machine struct {
	cfg   Config
	state State
	plan  wire.Plan
	rank  int

	applied uint64
	digest  string // of the state after it; empty: not taken yet
	stopped bool   // the run ends with applied
	stored  uint64

	took    bool          // outside: the members' state was asked for since it was last up to date
	noEntry bool          // the entry that is missing could not be had in this generation
	hellos  []*wire.Hello // of this generation, by rank
	early   []wire.Hello  // of generations whose plan has not come yet
	greeted time.Time     // when the last hello went out
	begun   time.Time     // when this generation began

	done  []int   // micro-batches of applied+1 in the sum
	todo  []int   // those of this worker that are not, in this generation
	claim int     // the one under way when this generation began, said to be held; or -1
	again bool    // an earlier generation had begun with this step
	dead  bool    // the ring of this generation is broken
	busy  bool    // a Compute has not been answered
	at    Compute // the newest one
	ready Effect  // an Apply or a Load that waits for it

	stop, drain bool
	saveDue     bool
	saved       time.Time // when the last checkpoint was asked for
	suspected   time.Time
	trouble     wire.Suspicion
}

// New returns the machine of a worker that holds the state after a step.
func New(cfg Config, now time.Time, applied uint64) *Machine {
	return &Machine{
		cfg: cfg, state: Joining, rank: -1, applied: applied, claim: -1,
		stopped: applied >= cfg.Steps, saved: now,
	}
}

// Renew gives the worker a new incarnation after it found itself outside.
func (m *Machine) Renew(incarnation string) { m.cfg.Incarnation = incarnation }

// State tells what the worker is doing.
func (m *Machine) State() State { return m.state }

// Generation, Rank and World tell its place; Rank is -1 outside the ring.
func (m *Machine) Generation() uint64 { return m.plan.Generation }
func (m *Machine) Rank() int          { return m.rank }
func (m *Machine) World() int         { return len(m.plan.Members) }

// Again tells whether the step under way began in an earlier generation.
func (m *Machine) Again() bool { return m.again }

// Applied is the newest applied step.
func (m *Machine) Applied() uint64 { return m.applied }

// Handle takes an event at a time and returns what is to be done, in order.
func (m *Machine) Handle(now time.Time, e Event) []Effect {
	switch e := e.(type) {
	case PlanChanged:
		return m.onPlan(now, e.Plan)
	case HelloReceived:
		return m.onHello(now, e.Hello)
	case Computed:
		return m.onComputed(e)
	case Reduced:
		if e.Generation == m.plan.Generation && m.state == Reducing && e.Step == m.applied+1 {
			return m.perform(Apply{e.Step})
		}
	case EntryFetched:
		if e.Generation == m.plan.Generation && (m.state == CatchingUp || m.outside()) && e.Step == m.applied+1 {
			return m.perform(Apply{e.Step})
		}
	case UpToDate:
		if e.Generation == m.plan.Generation && m.state == Following && e.Step == m.applied+1 {
			m.state, m.took = Joining, false
		}
	case SnapshotFetched:
		if e.Generation == m.plan.Generation && (m.state == CatchingUp || m.state == Following) {
			return m.perform(Load{e.Step})
		}
	case FetchFailed:
		if e.Generation == m.plan.Generation {
			return m.onFetchFailed()
		}
	case Digested:
		return m.onDigested(now, e)
	case Applied:
		return m.onApplied(now, e)
	case Loaded:
		return m.onLoaded(e)
	case RingBroken:
		return m.onBroken(now, e)
	case StopRequested:
		m.stop = !e.Withdrawn
	case DrainRequested:
		m.drain = true
	case Stored:
		m.stored = max(m.stored, e.Step)
		return m.finish()
	case Tick:
		return m.onTick(now)
	}
	return nil
}

// onPlan begins a generation.
func (m *Machine) onPlan(now time.Time, p wire.Plan) []Effect {
	if p.Generation <= m.plan.Generation {
		return nil
	}
	was := m.rank
	if p.Session != m.plan.Session { // the run goes on, whatever it was asked in the one before
		m.stopped = m.applied >= m.cfg.Steps
	}
	m.again = m.again || len(m.done) > 0 || m.state == Computing || m.state == Reducing || m.state == Broken
	m.plan, m.rank = p, p.Rank(m.cfg.ID, m.cfg.Incarnation)
	if m.busy && m.at.Step == m.applied+1 && slices.Contains(m.todo, m.at.Index) {
		m.claim = m.at.Index
	}
	m.todo, m.ready = nil, nil
	out := []Effect{CloseRing{}}
	if m.rank < 0 {
		// What it holds may be computed by others from now on.
		m.forget()
		if was >= 0 {
			out = append(out, Reset{}, Outside{p.Reason})
		}
		return append(out, m.follow()...)
	}
	m.state, m.begun, m.suspected, m.dead, m.noEntry = Greeting, now, now, false, false
	m.hellos = make([]*wire.Hello, len(p.Members))
	out = append(out, OpenRing{p, m.rank})
	if m.digest == "" {
		return append(out, Digest{})
	}
	return append(out, m.meet(now)...)
}

// onDigested goes on with what waited for the digest.
func (m *Machine) onDigested(now time.Time, e Digested) []Effect {
	m.digest = e.Digest
	switch m.state {
	case Greeting:
		return m.meet(now)
	case CatchingUp:
		return m.catchUp()
	}
	return nil
}

// meet greets the members of a new generation.
func (m *Machine) meet(now time.Time) []Effect {
	out := []Effect{m.greet(now, false)}
	early := m.early
	m.early = nil
	for _, h := range early {
		out = append(out, m.onHello(now, h)...)
	}
	return append(out, m.gathered()...)
}

// greet says where this worker stands.
func (m *Machine) greet(now time.Time, answer bool) Effect {
	m.greeted = now
	h := wire.Hello{
		Generation: m.plan.Generation, ID: m.cfg.ID, Incarnation: m.cfg.Incarnation, Rank: m.rank,
		Applied: m.applied, Digest: m.digest, Next: m.applied + 1, Done: m.holds(),
		Stopped: m.stopped, Answer: answer,
	}
	if own := m.hellos[m.rank]; own != nil {
		// Whatever happened since: all members must reckon with the same words.
		h = *own
		h.Answer = answer
	} else {
		m.hellos[m.rank] = &h
	}
	return SendHello{h}
}

// holds lists the micro-batches of the next step that this worker has summed or
// will have when what is under way is done.
func (m *Machine) holds() []int {
	held := slices.Clone(m.done)
	if m.claim >= 0 && !slices.Contains(held, m.claim) {
		held = append(held, m.claim)
		slices.Sort(held)
	}
	return held
}

// forget drops what this worker holds of the next step.
func (m *Machine) forget() { m.done, m.claim, m.again = nil, -1, false }

func (m *Machine) onHello(now time.Time, h wire.Hello) []Effect {
	switch {
	case h.Generation > m.plan.Generation:
		m.early = slices.DeleteFunc(m.early, func(o wire.Hello) bool { return o.ID == h.ID && o.Generation <= h.Generation })
		m.early = append(m.early, h)
		return nil
	case h.Generation < m.plan.Generation || m.rank < 0 || h.Rank < 0 || h.Rank >= len(m.plan.Members) || h.Rank == m.rank:
		return nil
	case m.plan.Members[h.Rank].ID != h.ID || m.plan.Members[h.Rank].Incarnation != h.Incarnation:
		return nil
	}
	var out []Effect
	if !h.Answer {
		out = append(out, m.greet(now, true))
	}
	if m.hellos[h.Rank] == nil {
		m.hellos[h.Rank] = &h
	}
	return append(out, m.gathered()...)
}

// gathered goes on when all hellos are here.
func (m *Machine) gathered() []Effect {
	if m.state != Greeting || slices.Contains(m.hellos, nil) {
		return nil
	}
	return m.catchUp()
}

func (m *Machine) agreement() agreement {
	all := make([]wire.Hello, len(m.hellos))
	for r, h := range m.hellos {
		all[r] = *h
	}
	return agree(all)
}

// catchUp brings this worker to the newest state of the members, then begins
// the step after it.
func (m *Machine) catchUp() []Effect {
	if m.digest == "" {
		return []Effect{Digest{}}
	}
	a := m.agreement()
	own := m.hellos[m.rank]
	differs := own.Applied == a.newest && own.Digest != a.digest
	switch {
	case m.applied == a.newest && m.digest == a.digest:
		m.stopped = m.stopped || a.stopped
		return m.begin(a)
	case differs:
		m.state = CatchingUp
		return []Effect{
			Diverged{m.applied, m.digest, a.digest},
			FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest},
		}
	case m.applied < a.newest && a.newest-m.applied <= fewEntries && !m.noEntry:
		m.state = CatchingUp
		return []Effect{FetchEntry{Generation: m.plan.Generation, Step: m.applied + 1, From: a.donors}}
	default:
		// Further behind; or the entry could not be had, or did not lead to the
		// members' state.
		m.state = CatchingUp
		return []Effect{FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest}}
	}
}

// begin starts on the step after the agreed one, with what members hold of it.
func (m *Machine) begin(a agreement) []Effect {
	var out []Effect
	if len(a.held[m.rank]) == 0 {
		if len(m.done) > 0 {
			out = append(out, Reset{})
		}
		m.done, m.claim = nil, -1
	}
	if m.stopped {
		return append(out, m.halt()...)
	}
	m.todo = assign(m.plan, a.held)[m.rank]
	if m.claim >= 0 && !slices.Contains(m.done, m.claim) {
		m.todo = append(m.todo, m.claim) // under way
	}
	m.state = Computing
	return append(out, m.advance()...)
}

// advance computes what is left to compute, or reduces.
func (m *Machine) advance() []Effect {
	if m.state != Computing || m.busy {
		return nil
	}
	if len(m.todo) > 0 {
		m.busy, m.at = true, Compute{m.applied + 1, m.todo[0], m.again}
		return []Effect{m.at}
	}
	if m.dead {
		m.state = Broken
		return nil
	}
	m.state = Reducing
	return []Effect{Reduce{m.plan.Generation, m.applied + 1, m.votes()}}
}

func (m *Machine) votes() replica.Votes {
	return replica.Votes{Stop: m.stop, Hold: m.drain, Save: m.saveDue}
}

// onComputed keeps the gradient if it is still this worker's to give.
func (m *Machine) onComputed(e Computed) []Effect {
	m.busy = false
	var out []Effect
	i := slices.Index(m.todo, e.Index)
	if e.Step == m.applied+1 && (i >= 0 || e.Index == m.claim) {
		if i >= 0 {
			m.todo = slices.Delete(m.todo, i, i+1)
		}
		m.done = append(m.done, e.Index)
		slices.Sort(m.done)
		out = append(out, Add{e.Index})
	}
	if m.ready != nil {
		out = append(out, m.ready)
		m.ready = nil
		return out
	}
	return append(out, m.advance()...)
}

// onFetchFailed tries another way.
func (m *Machine) onFetchFailed() []Effect {
	if m.state == CatchingUp {
		m.noEntry = true // who took the state itself does not hold it
		return m.catchUp()
	}
	return m.missed()
}

// perform changes the state, now or once nothing is computed from it.
func (m *Machine) perform(e Effect) []Effect {
	if m.busy {
		m.ready = e
		return nil
	}
	return []Effect{e}
}

func (m *Machine) onApplied(now time.Time, e Applied) []Effect {
	m.applied, m.digest = e.Step, ""
	m.forget()
	m.stopped = e.Stop && !m.outside() || m.applied >= m.cfg.Steps // who follows has no part in a stop
	out := []Effect{Reset{}}
	switch {
	case m.state == CatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.next()...)
	}
	if e.Differ {
		return append(out, m.differ(now, e.Step)...)
	}
	switch {
	case m.stopped:
		return append(out, m.halt()...)
	case e.Save:
		m.saved, m.saveDue = now, false
		out = append(out, m.save(false))
	}
	if e.Hold {
		m.state = Holding
		return out
	}
	m.todo = assign(m.plan, make([][]int, len(m.plan.Members)))[m.rank]
	m.state = Computing
	return append(out, m.advance()...)
}

// differ asks for a new generation, in which the members compare their states and
// those that differ from most take theirs.
func (m *Machine) differ(now time.Time, step uint64) []Effect {
	m.state, m.todo = Broken, nil
	m.dead, m.suspected = true, now
	m.trouble = wire.Suspicion{
		Generation: m.plan.Generation, From: m.cfg.ID, Evidence: fmt.Sprintf("the replicas were not equal before step %d", step),
	}
	return []Effect{Suspect{m.trouble}}
}

func (m *Machine) onLoaded(e Loaded) []Effect {
	m.applied, m.digest = e.Step, e.Digest
	m.stopped = m.applied >= m.cfg.Steps // not with the state that it replaces
	m.forget()
	out := []Effect{Reset{}}
	switch {
	case m.state == CatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.next()...)
	}
	return out
}

// halt ends the run: nothing is left but to store the state.
func (m *Machine) halt() []Effect {
	m.state, m.todo = Stopped, nil
	return append([]Effect{m.save(true)}, m.finish()...)
}

func (m *Machine) save(final bool) Effect {
	return Save{Step: m.applied, Generation: m.plan.Generation, Rank: m.rank, World: len(m.plan.Members), Final: final}
}

func (m *Machine) finish() []Effect {
	if m.state == Stopped && m.stored >= m.applied {
		return []Effect{Finish{m.applied}}
	}
	return nil
}

// onBroken leaves the ring and tells the coordinator, whose next plan mends it.
// Own sums are kept, and what is left to compute for them is computed meanwhile.
func (m *Machine) onBroken(now time.Time, e RingBroken) []Effect {
	if e.Generation != m.plan.Generation || m.rank < 0 || m.state == Stopped || m.dead {
		return nil
	}
	m.trouble = wire.Suspicion{Generation: e.Generation, From: m.cfg.ID, Evidence: e.Reason}
	if e.Rank >= 0 && e.Rank < len(m.plan.Members) && e.Rank != m.rank {
		m.trouble.Subject, m.trouble.Incarnation = m.plan.Members[e.Rank].ID, m.plan.Members[e.Rank].Incarnation
	}
	if m.state == Reducing {
		m.state = Broken
	}
	m.dead, m.suspected = true, now
	return []Effect{Suspect{m.trouble}}
}

// onTick repeats what may have been lost.
func (m *Machine) onTick(now time.Time) []Effect {
	if now.Sub(m.saved) >= m.cfg.SaveEvery {
		m.saveDue = m.rank == 0
	}
	var out []Effect
	repeat := m.cfg.FailureTimeout / 4
	if m.state == Greeting && now.Sub(m.greeted) >= repeat {
		out = append(out, m.greet(now, false))
	}
	if now.Sub(m.suspected) < m.cfg.FailureTimeout {
		return out
	}
	switch {
	case m.dead:
		m.suspected = now
		out = append(out, Suspect{m.trouble})
	case m.state == Greeting && now.Sub(m.begun) >= 2*m.cfg.FailureTimeout:
		m.suspected = now
		for r, h := range m.hellos {
			if h == nil {
				out = append(out, Suspect{wire.Suspicion{
					Generation: m.plan.Generation, From: m.cfg.ID, Subject: m.plan.Members[r].ID, Incarnation: m.plan.Members[r].Incarnation,
					Evidence: fmt.Sprintf("no hello for %s", now.Sub(m.begun).Round(time.Millisecond)),
				}})
			}
		}
	}
	return out
}
