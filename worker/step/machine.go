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
	Diverged        bool          // the state that it begins with tells that the run is to stop
}

// Machine is the state machine of one worker. One goroutine owns it.
type Machine struct {
	cfg   Config
	state wire.ProcessState
	plan  wire.Plan
	rank  int

	applied uint64
	digest  string     // of the state after it; empty: not taken yet
	trained wire.Begun // from where the state was trained
	stopped bool       // the run ends with applied
	stored  uint64

	behind  bool          // outside: it did not keep up with the members when it last tried
	rest    time.Duration // before it tries again
	again   time.Time     // when it does; zero: that is not known yet
	took    bool          // outside: the members' state was asked for since it was last up to date
	noEntry bool          // the entry that is missing could not be had in this generation
	hellos  []*wire.Hello // of this generation, by rank
	early   []wire.Hello  // of generations whose plan has not come yet
	greeted time.Time     // when the last hello went out
	begun   time.Time     // when this generation began

	done   []int   // micro-batches of applied+1 in the sum
	todo   []int   // those of this worker that are not, in this generation
	claim  int     // the one under way when this generation began, said to be held; or -1
	left   []int   // those of todo when this generation began: nobody had computed them
	later  []int   // those of this worker in a step that begins in the newest generation that had begun
	bereft bool    // members are gone since this worker last began with a step
	lost   []int   // those that were given to members that are gone
	dead   bool    // the ring of this generation is broken
	busy   bool    // a Compute has not been answered
	at     Compute // the newest one
	ready  Effect  // an Apply or a Load that waits for it

	stop, drain bool
	diverged    bool // the state tells that the run is to stop: all who hold it say so
	refused     bool // follows nobody: whoever lets it in waits for it
	saveDue     bool
	saved       time.Time // when the last checkpoint was asked for
	suspected   time.Time
	trouble     wire.Suspicion
}

// New returns the machine of a worker that holds the state after a step.
func New(cfg Config, now time.Time, applied uint64) *Machine {
	return &Machine{
		cfg: cfg, state: wire.WorkerJoining, rank: -1, applied: applied, claim: -1,
		stopped: applied >= cfg.Steps, diverged: cfg.Diverged, saved: now,
	}
}

// Renew gives the worker a new incarnation after it found itself outside.
func (m *Machine) Renew(incarnation string) { m.cfg.Incarnation, m.refused = incarnation, false }

// State tells what the worker is doing.
func (m *Machine) State() wire.ProcessState { return m.state }

// Generation, Rank, World and Plan tell its place; Rank is -1 outside the ring.
func (m *Machine) Generation() uint64 { return m.plan.Generation }
func (m *Machine) Rank() int          { return m.rank }
func (m *Machine) Plan() wire.Plan    { return m.plan }
func (m *Machine) World() int         { return len(m.plan.Members) }

// Begun tells from where the state was trained; its Generation is 0 while it was not.
func (m *Machine) Begun() wire.Begun { return m.trained }

// Again tells whether the micro-batch under way had been given to a member that is
// gone.
func (m *Machine) Again() bool { return m.busy && m.at.Again }

// Refused tells whether the run does not admit this incarnation.
func (m *Machine) Refused() bool { return m.refused }

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
		if e.Generation == m.plan.Generation && m.state == wire.WorkerReducing && e.Step == m.applied+1 {
			return m.perform(Apply{e.Step})
		}
	case EntryFetched:
		if e.Generation == m.plan.Generation && (m.state == wire.WorkerCatchingUp || m.outside()) && e.Step == m.applied+1 {
			return m.perform(Apply{e.Step})
		}
	case UpToDate:
		if e.Generation == m.plan.Generation && m.state == wire.WorkerFollowing && e.Step == m.applied+1 {
			m.state, m.took, m.behind, m.rest = wire.WorkerJoining, false, false, 0
		}
	case SnapshotFetched:
		if e.Generation == m.plan.Generation && (m.state == wire.WorkerCatchingUp || m.state == wire.WorkerFollowing) {
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
	case Refused:
		m.refused = true
	case Stored:
		m.stored = max(m.stored, e.Step)
		return m.finish()
	case Tick:
		return m.onTick(now)
	}
	return nil
}

// halt ends the run: nothing is left but to store the state.
func (m *Machine) halt() []Effect {
	m.state, m.todo = wire.WorkerStopped, nil
	return append([]Effect{m.save(true)}, m.finish()...)
}

func (m *Machine) save(final bool) Effect {
	return Save{Step: m.applied, Generation: m.plan.Generation, Rank: m.rank, World: len(m.plan.Members), Final: final}
}

func (m *Machine) finish() []Effect {
	if m.state == wire.WorkerStopped && m.stored >= m.applied {
		return []Effect{Finish{m.applied}}
	}
	return nil
}

// onBroken leaves the ring and tells the coordinator, whose next plan mends it.
// Own sums are kept, and what is left to compute for them is computed meanwhile.
func (m *Machine) onBroken(now time.Time, e RingBroken) []Effect {
	if e.Generation != m.plan.Generation || m.rank < 0 || m.state == wire.WorkerStopped || m.dead {
		return nil
	}
	m.trouble = wire.Suspicion{Generation: e.Generation, From: m.cfg.ID, Evidence: wire.Evidence(e.Reason)}
	if e.Rank >= 0 && e.Rank < len(m.plan.Members) && e.Rank != m.rank {
		m.trouble.Subject, m.trouble.Incarnation = m.plan.Members[e.Rank].ID, m.plan.Members[e.Rank].Incarnation
	}
	if m.state == wire.WorkerReducing {
		m.state = wire.WorkerBroken
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
	if m.state == wire.WorkerGreeting && now.Sub(m.greeted) >= repeat {
		out = append(out, m.greet(now, false))
	}
	out = append(out, m.followAgain(now)...)
	if now.Sub(m.suspected) < m.cfg.FailureTimeout {
		return out
	}
	switch {
	case m.dead:
		m.suspected = now
		out = append(out, Suspect{m.trouble})
	case m.state == wire.WorkerGreeting && now.Sub(m.begun) >= 2*max(m.cfg.FailureTimeout, m.plan.Patient()):
		m.suspected = now
		for r, h := range m.hellos {
			if h == nil {
				out = append(out, Suspect{wire.Suspicion{
					Generation: m.plan.Generation, From: m.cfg.ID, Subject: m.plan.Members[r].ID, Incarnation: m.plan.Members[r].Incarnation,
					Evidence: wire.Evidence(fmt.Sprintf("no hello for %s", now.Sub(m.begun).Round(time.Millisecond))),
				}})
			}
		}
	}
	return out
}
