package step

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// Config is what the machine must know of the run and of this worker.
type Config struct {
	ID, Incarnation string
	Steps           uint64 // of the run
	FailureTimeout  time.Duration
	SaveEvery       time.Duration // between checkpoints
	Diverged        bool          // the initial state shows a divergence for which the run stops
}

// Machine is the state machine of one worker. One goroutine owns it.
type Machine struct {
	cfg   Config
	state wire.ProcessState
	plan  wire.Plan
	rank  int

	applied uint64
	digest  string       // of the state after that step; empty: not computed yet
	lineage wire.Lineage // from where the state was trained
	stopped bool         // the run ends with applied
	stored  uint64       // newest durable step

	// Outside the ring.
	behind     bool      // the worker did not keep up with the members at its last attempt
	fellBehind int       // attempts in a row of which that is true
	retryAt    time.Time // of the next one; zero: not scheduled yet
	askedState bool      // the members' state was requested since the worker was last up to date

	// How this generation begins.
	hellos           []*wire.Hello // of this generation, by rank
	earlyHellos      []wire.Hello  // of generations whose plan has not come yet
	lastHello        time.Time     // when the last hello was sent
	generationBegan  time.Time
	entryUnavailable bool // the missing entry could not be fetched in this generation

	// Micro-batches of step applied+1.
	summed      []int   // already in the sum
	assigned    []int   // this worker's share of this generation that is not in the sum yet
	inFlight    int     // being computed when this generation began, reported as held; or -1
	unstarted   []int   // assigned by earlier generations, not started when they ended
	nextShare   []int   // this worker's share of a whole step, by the newest generation that trained
	lostMembers bool    // members have been lost since this worker last began a step
	recompute   []int   // were assigned to members that are lost
	ringBroken  bool    // in this generation
	receiving   bool    // the others have begun to reduce the step, too
	computing   bool    // a Compute has not been answered
	current     Compute // the newest one
	deferred    Effect  // an Apply or a Load that waits for it

	stopRequested, drainRequested bool
	diverged                      bool // the state shows a divergence for which the run stops; every holder of it votes so
	refused                       bool // the worker does not follow: it is admitted as it is, and the members wait
	saveDue                       bool
	lastSave                      time.Time // when the last checkpoint was requested
	lastSuspicion                 time.Time
	suspicion                     wire.Suspicion
}

// New returns the machine of a worker whose state is that after step applied.
func New(cfg Config, now time.Time, applied uint64) *Machine {
	return &Machine{
		cfg: cfg, state: wire.WorkerJoining, rank: -1, applied: applied, inFlight: -1,
		stopped: applied >= cfg.Steps, diverged: cfg.Diverged, lastSave: now,
	}
}

// SetIncarnation gives the worker a new incarnation after it was put outside the ring.
func (m *Machine) SetIncarnation(incarnation string) {
	m.cfg.Incarnation, m.refused = incarnation, false
}

// State returns what the worker is doing.
func (m *Machine) State() wire.ProcessState { return m.state }

// Generation, Rank and Plan return the worker's place; Rank is -1 outside the ring.
func (m *Machine) Generation() uint64 { return m.plan.Generation }
func (m *Machine) Rank() int          { return m.rank }
func (m *Machine) Plan() wire.Plan    { return m.plan }

// Lineage returns from where the state was trained; its Generation is 0 while it was not.
func (m *Machine) Lineage() wire.Lineage { return m.lineage }

// Recomputing reports whether the micro-batch in flight was first assigned to a member
// that is lost.
func (m *Machine) Recomputing() bool { return m.computing && m.current.Recompute }

// Receiving reports whether frames of the entry come that is being reduced. Before, the
// worker waits for a slower member.
func (m *Machine) Receiving() bool { return m.state == wire.WorkerReducing && m.receiving }

// Refused reports whether the run refused this incarnation.
func (m *Machine) Refused() bool { return m.refused }

// Handle takes one event and returns the effects that follow, in order.
func (m *Machine) Handle(now time.Time, e Event) []Effect {
	switch e := e.(type) {
	case PlanChanged:
		return m.onPlan(now, e.Plan)
	case HelloReceived:
		return m.onHello(now, e.Hello)
	case Computed:
		return m.onComputed(e)
	case Receiving:
		m.receiving = m.receiving || e.Generation == m.plan.Generation && e.Step == m.applied+1
	case Reduced:
		if e.Generation == m.plan.Generation && m.state == wire.WorkerReducing && e.Step == m.applied+1 {
			return m.changeState(Apply{e.Step})
		}
	case EntryFetched:
		if e.Generation == m.plan.Generation && (m.state == wire.WorkerCatchingUp || m.outside()) && e.Step == m.applied+1 {
			return m.changeState(Apply{e.Step})
		}
	case UpToDate:
		if e.Generation == m.plan.Generation && m.state == wire.WorkerFollowing && e.Step == m.applied+1 {
			m.state, m.askedState, m.behind, m.fellBehind = wire.WorkerJoining, false, false, 0
		}
	case SnapshotFetched:
		if e.Generation == m.plan.Generation && (m.state == wire.WorkerCatchingUp || m.state == wire.WorkerFollowing) {
			return m.changeState(Load{e.Step})
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
		return m.onRingBroken(now, e)
	case StopRequested:
		m.stopRequested = !e.Withdrawn
	case DrainRequested:
		m.drainRequested = true
	case Refused:
		m.refused = true
	case Stored:
		m.stored = max(m.stored, e.Step)
		return m.finishWhenStored()
	case Tick:
		return m.onTick(now)
	}
	return nil
}

// stopTraining ends the run: all that remains is to store the state.
func (m *Machine) stopTraining() []Effect {
	m.state, m.assigned = wire.WorkerStopped, nil
	return append([]Effect{m.save(true)}, m.finishWhenStored()...)
}

// FinalSave returns the slice that a worker saves before its process ends by itself; false if other
// members hold the state as well.
func (m *Machine) FinalSave() (Save, bool) {
	return m.save(true), m.rank == 0 && len(m.plan.Members) == 1 && m.applied > m.stored
}

func (m *Machine) save(final bool) Save {
	return Save{Step: m.applied, Generation: m.plan.Generation, Rank: m.rank, World: len(m.plan.Members), Final: final}
}

func (m *Machine) finishWhenStored() []Effect {
	if m.state == wire.WorkerStopped && m.stored >= m.applied {
		return []Effect{Finish{m.applied}}
	}
	return nil
}

// onRingBroken leaves the ring and tells the coordinator, whose next plan repairs it.
// The worker keeps its sums and goes on computing its micro-batches meanwhile.
func (m *Machine) onRingBroken(now time.Time, e RingBroken) []Effect {
	if e.Generation != m.plan.Generation || m.rank < 0 || m.state == wire.WorkerStopped || m.ringBroken {
		return nil
	}
	m.suspicion = wire.Suspicion{Generation: e.Generation, From: m.cfg.ID, Evidence: wire.Evidence(e.Reason)}
	if e.Rank >= 0 && e.Rank < len(m.plan.Members) && e.Rank != m.rank {
		m.suspicion.Subject, m.suspicion.Incarnation = m.plan.Members[e.Rank].ID, m.plan.Members[e.Rank].Incarnation
	}
	if m.state == wire.WorkerReducing {
		m.state = wire.WorkerBroken
	}
	m.ringBroken, m.lastSuspicion = true, now
	return []Effect{Suspect{m.suspicion}}
}

// onTick repeats messages that may have been lost.
func (m *Machine) onTick(now time.Time) []Effect {
	if now.Sub(m.lastSave) >= m.cfg.SaveEvery {
		m.saveDue = m.rank == 0
	}
	var out []Effect
	repeat := m.cfg.FailureTimeout / 4
	if m.state == wire.WorkerGreeting && now.Sub(m.lastHello) >= repeat {
		out = append(out, m.sendHello(now, false))
	}
	out = append(out, m.retryFollowing(now)...)
	if now.Sub(m.lastSuspicion) < m.cfg.FailureTimeout {
		return out
	}
	switch {
	case m.ringBroken:
		m.lastSuspicion = now
		out = append(out, Suspect{m.suspicion})
	case m.state == wire.WorkerGreeting && now.Sub(m.generationBegan) >= 2*max(m.cfg.FailureTimeout, m.plan.SilenceLimit()):
		m.lastSuspicion = now
		for r, h := range m.hellos {
			if h == nil {
				out = append(out, Suspect{wire.Suspicion{
					Generation: m.plan.Generation, From: m.cfg.ID, Subject: m.plan.Members[r].ID, Incarnation: m.plan.Members[r].Incarnation,
					Evidence: wire.Evidence(fmt.Sprintf("no hello for %s", now.Sub(m.generationBegan).Round(time.Millisecond))),
				}})
			}
		}
	}
	return out
}
