package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How a generation begins: hellos, agreement, and the newest state.

// onPlan begins a generation.
func (m *Machine) onPlan(now time.Time, p wire.Plan) []Effect {
	if p.Generation <= m.plan.Generation {
		return nil
	}
	was := m.rank
	if p.Session != m.plan.Session { // the run goes on, whatever it was asked in the one before
		m.stopped = m.applied >= m.cfg.Steps
	}
	m.plan, m.rank = p, p.Rank(m.cfg.ID, m.cfg.Incarnation)
	if m.busy && m.at.Step == m.applied+1 && slices.Contains(m.todo, m.at.Index) {
		m.claim = m.at.Index
	}
	m.left = append(m.left, m.unbegun()...)
	m.bereft = m.bereft || p.Lost || len(m.lost) > 0
	m.todo, m.ready = nil, nil
	out := []Effect{CloseRing{}}
	if m.rank < 0 {
		// What it holds may be computed by others from now on, and if it should be left
		// with its state in the end, that is where training begins anew.
		m.forget()
		m.trained, m.later = wire.Begun{}, nil
		if was >= 0 {
			out = append(out, Reset{}, Outside{p.Reason})
		}
		return append(out, m.follow()...)
	}
	m.refused = false
	m.state, m.begun, m.suspected, m.dead, m.noEntry = wire.WorkerGreeting, now, now, false, false
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
	case wire.WorkerGreeting:
		return m.meet(now)
	case wire.WorkerCatchingUp:
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
		Applied: m.applied, Digest: m.digest, Next: m.applied + 1, Done: m.holds(), Left: m.left, Later: m.later, Lost: m.bereft,
		Stopped: m.stopped, Begun: m.trained, Stored: m.stored, Answer: answer,
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

// unbegun lists the micro-batches that this worker has yet to compute and that nobody
// else had before.
func (m *Machine) unbegun() []int {
	return slices.DeleteFunc(slices.Clone(m.todo), func(i int) bool { return i == m.claim || slices.Contains(m.lost, i) })
}

// forget drops what this worker holds and knows of the next step.
func (m *Machine) forget() { m.done, m.claim, m.left, m.lost = nil, -1, nil, nil }

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
	if m.state != wire.WorkerGreeting || slices.Contains(m.hellos, nil) {
		return nil
	}
	return m.catchUp()
}

func (m *Machine) agreement() agreement {
	all := make([]wire.Hello, len(m.hellos))
	for r, h := range m.hellos {
		all[r] = *h
	}
	a := agree(all)
	a.stored = max(a.stored, m.plan.Stored)
	return a
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
	case a.stored > a.newest:
		return m.outdated(a)
	case m.applied == a.newest && m.digest == a.digest:
		m.stopped = m.stopped || a.stopped
		return m.begin(a)
	case differs:
		m.state = wire.WorkerCatchingUp
		return []Effect{
			Diverged{m.applied, m.digest, a.digest},
			FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest},
		}
	case m.applied < a.newest && a.newest-m.applied <= fewEntries && !m.noEntry:
		m.state = wire.WorkerCatchingUp
		return []Effect{FetchEntry{Generation: m.plan.Generation, Step: m.applied + 1, From: a.donors}}
	default:
		// Further behind; or the entry could not be had, or did not lead to the
		// members' state.
		m.state = wire.WorkerCatchingUp
		return []Effect{FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest}}
	}
}

// outdated has the first rank take the checkpoint where that is newer than what any
// member holds: those who came so far are gone. The others take it from there, in the
// next generation.
func (m *Machine) outdated(a agreement) []Effect {
	m.state = wire.WorkerCatchingUp
	switch {
	case m.rank > 0:
		return nil
	case m.applied < a.stored:
		return []Effect{FetchSnapshot{Generation: m.plan.Generation, Step: a.stored, From: []string{wire.IDCheckpoint}}}
	}
	m.trained, m.stored = wire.Begun{}, max(m.stored, m.applied)
	if m.stopped { // it is that of the last step
		m.state = wire.WorkerStopped
		return m.finish()
	}
	return m.giveUp(fmt.Sprintf("the members were at step %d, and took the checkpoint of step %d", a.newest, m.applied))
}

// giveUp asks for another generation.
func (m *Machine) giveUp(why string) []Effect {
	m.state, m.todo, m.dead = wire.WorkerBroken, nil, true
	m.trouble = wire.Suspicion{Generation: m.plan.Generation, From: m.cfg.ID, Evidence: wire.Evidence(why)}
	return []Effect{Suspect{m.trouble}}
}

// onFetchFailed tries another way.
func (m *Machine) onFetchFailed() []Effect {
	if m.state == wire.WorkerCatchingUp {
		m.noEntry = true // who took the state itself does not hold it
		return m.catchUp()
	}
	return m.missed()
}
