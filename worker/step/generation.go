package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How a generation begins: members exchange hellos, agree on the newest state and catch
// up with it.

// onPlan begins a generation.
func (m *Machine) onPlan(now time.Time, p wire.Plan) []Effect {
	if p.Generation <= m.plan.Generation {
		return nil
	}
	was := m.rank
	if p.Session != m.plan.Session { // a new session goes on, whatever was asked of the last one
		m.stopped = m.applied >= m.cfg.Steps
	}
	m.plan, m.rank = p, p.Rank(m.cfg.ID, m.cfg.Incarnation)
	if m.computing && m.current.Step == m.applied+1 && slices.Contains(m.assigned, m.current.Index) {
		m.inFlight = m.current.Index
	}
	m.unstarted = append(m.unstarted, m.unstartedMicroBatches()...)
	m.lostMembers = m.lostMembers || p.LostMembers || len(m.recompute) > 0
	m.assigned, m.deferred = nil, nil
	out := []Effect{CloseRing{}}
	if m.rank < 0 {
		// Others may compute what it holds from now on. If its state should be all that
		// remains of the run, a new lineage begins there.
		m.forgetPartialStep()
		m.lineage, m.nextShare = wire.Lineage{}, nil
		if was >= 0 {
			out = append(out, Reset{}, LeftOut{p.Reason})
		}
		return append(out, m.startFollowing()...)
	}
	m.refused = false
	m.state, m.generationBegan, m.lastSuspicion, m.ringBroken, m.entryUnavailable = wire.WorkerGreeting, now, now, false, false
	m.hellos = make([]*wire.Hello, len(p.Members))
	out = append(out, OpenRing{p, m.rank})
	if m.digest == "" {
		return append(out, Digest{})
	}
	return append(out, m.greetMembers(now)...)
}

// onDigested resumes what waited for the digest.
func (m *Machine) onDigested(now time.Time, e Digested) []Effect {
	m.digest = e.Digest
	switch m.state {
	case wire.WorkerGreeting:
		return m.greetMembers(now)
	case wire.WorkerCatchingUp:
		return m.catchUp()
	}
	return nil
}

// greetMembers sends this worker's hello and takes those that came early.
func (m *Machine) greetMembers(now time.Time) []Effect {
	out := []Effect{m.sendHello(now, false)}
	early := m.earlyHellos
	m.earlyHellos = nil
	for _, h := range early {
		out = append(out, m.onHello(now, h)...)
	}
	return append(out, m.catchUpWhenGreeted()...)
}

// sendHello reports this worker's state to the members.
func (m *Machine) sendHello(now time.Time, answer bool) Effect {
	m.lastHello = now
	h := wire.Hello{
		Generation: m.plan.Generation, ID: m.cfg.ID, Incarnation: m.cfg.Incarnation, Rank: m.rank,
		Applied: m.applied, Digest: m.digest, Next: m.applied + 1, Done: m.heldMicroBatches(), Unstarted: m.unstarted, NextShare: m.nextShare, LostMembers: m.lostMembers,
		Stopped: m.stopped, Lineage: m.lineage, Stored: m.stored, Answer: answer,
	}
	if own := m.hellos[m.rank]; own != nil {
		// Nothing that happened since changes it: all members must agree from the same hello.
		h = *own
		h.Answer = answer
	} else {
		m.hellos[m.rank] = &h
	}
	return SendHello{h}
}

// heldMicroBatches lists the micro-batches of the next step that this worker has summed,
// and the one in flight.
func (m *Machine) heldMicroBatches() []int {
	held := slices.Clone(m.summed)
	if m.inFlight >= 0 && !slices.Contains(held, m.inFlight) {
		held = append(held, m.inFlight)
		slices.Sort(held)
	}
	return held
}

// unstartedMicroBatches lists the assigned micro-batches that nobody has started.
func (m *Machine) unstartedMicroBatches() []int {
	return slices.DeleteFunc(slices.Clone(m.assigned), func(i int) bool { return i == m.inFlight || slices.Contains(m.recompute, i) })
}

// forgetPartialStep drops what this worker holds and knows about the next step.
func (m *Machine) forgetPartialStep() {
	m.summed, m.inFlight, m.unstarted, m.recompute = nil, -1, nil, nil
}

func (m *Machine) onHello(now time.Time, h wire.Hello) []Effect {
	switch {
	case h.Generation > m.plan.Generation:
		m.earlyHellos = slices.DeleteFunc(m.earlyHellos, func(o wire.Hello) bool { return o.ID == h.ID && o.Generation <= h.Generation })
		m.earlyHellos = append(m.earlyHellos, h)
		return nil
	case h.Generation < m.plan.Generation || m.rank < 0 || h.Rank < 0 || h.Rank >= len(m.plan.Members) || h.Rank == m.rank:
		return nil
	case m.plan.Members[h.Rank].ID != h.ID || m.plan.Members[h.Rank].Incarnation != h.Incarnation:
		return nil
	}
	var out []Effect
	if !h.Answer {
		out = append(out, m.sendHello(now, true))
	}
	if m.hellos[h.Rank] == nil {
		m.hellos[h.Rank] = &h
	}
	return append(out, m.catchUpWhenGreeted()...)
}

// catchUpWhenGreeted proceeds once the hellos of all members have come.
func (m *Machine) catchUpWhenGreeted() []Effect {
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

// catchUp brings this worker to the newest state of the members, then begins the next
// step.
func (m *Machine) catchUp() []Effect {
	if m.digest == "" {
		return []Effect{Digest{}}
	}
	a := m.agreement()
	own := m.hellos[m.rank]
	differs := own.Applied == a.newest && own.Digest != a.digest
	switch {
	case a.stored > a.newest:
		return m.takeCheckpoint(a)
	case m.applied == a.newest && m.digest == a.digest:
		m.stopped = m.stopped || a.stopped
		return m.beginStep(a)
	case differs:
		m.state = wire.WorkerCatchingUp
		return []Effect{
			ReplicaDiffers{m.applied, m.digest, a.digest},
			FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest},
		}
	case m.applied < a.newest && a.newest-m.applied <= maxEntriesBehind && !m.entryUnavailable:
		m.state = wire.WorkerCatchingUp
		return []Effect{FetchEntry{Generation: m.plan.Generation, Step: m.applied + 1, From: a.donors}}
	default:
		// The worker is further behind, or the entry was unavailable or did not lead to
		// the members' state.
		m.state = wire.WorkerCatchingUp
		return []Effect{FetchSnapshot{m.plan.Generation, a.newest, a.donors, a.digest}}
	}
}

// takeCheckpoint handles a checkpoint that is newer than any member's state: the members
// that came so far are lost. Rank 0 fetches it; the others take it from rank 0 in the next
// generation.
func (m *Machine) takeCheckpoint(a agreement) []Effect {
	m.state = wire.WorkerCatchingUp
	switch {
	case m.rank > 0:
		return nil
	case m.applied < a.stored:
		return []Effect{FetchSnapshot{Generation: m.plan.Generation, Step: a.stored, From: []string{wire.IDCheckpoint}}}
	}
	m.lineage, m.stored = wire.Lineage{}, max(m.stored, m.applied)
	if m.stopped { // the checkpoint is that of the last step
		m.state = wire.WorkerStopped
		return m.finishWhenStored()
	}
	return m.requestGeneration(fmt.Sprintf("the members were at step %d, and took the checkpoint of step %d", a.newest, m.applied))
}

// requestGeneration asks the coordinator for another generation.
func (m *Machine) requestGeneration(why string) []Effect {
	m.state, m.assigned, m.ringBroken = wire.WorkerBroken, nil, true
	m.suspicion = wire.Suspicion{Generation: m.plan.Generation, From: m.cfg.ID, Evidence: wire.Evidence(why)}
	return []Effect{Suspect{m.suspicion}}
}

// onFetchFailed falls back to the next way to catch up.
func (m *Machine) onFetchFailed() []Effect {
	if m.state == wire.WorkerCatchingUp {
		m.entryUnavailable = true // a member that took the state itself has no entry
		return m.catchUp()
	}
	return m.fetchStateInstead()
}
