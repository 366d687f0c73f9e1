package step

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How a worker outside the ring comes to the state of the members while they go
// on, so that they need not wait for it when it is one of them.

// fewEntries is up to how many entries are fetched instead of a state, which is
// three times as large as one.
const fewEntries = 3

// How long a worker that did not keep up rests before it tries again, in failure
// timeouts: the first time, and at most.
const (
	firstRest   = 30
	longestRest = 600
)

// outside reports whether the worker is in no plan.
func (m *Machine) outside() bool {
	return m.state == wire.WorkerJoining || m.state == wire.WorkerFollowing
}

// follow begins: with the entries since its own state, if members still have them.
func (m *Machine) follow() []Effect {
	m.state, m.took = wire.WorkerFollowing, false
	return m.next()
}

// next asks for the next entry, where there is one to come and someone to ask.
func (m *Machine) next() []Effect {
	from := m.others()
	if len(from) == 0 || m.applied >= m.cfg.Steps || m.refused {
		m.state = wire.WorkerJoining
		return nil
	}
	return []Effect{FetchEntry{Generation: m.plan.Generation, Step: m.applied + 1, From: from, Await: true}}
}

// missed goes on without an entry that no member has any more: with their state,
// once. Who cannot have that either is taken in as it is, and the others wait.
func (m *Machine) missed() []Effect {
	switch {
	case !m.outside():
		return nil
	case m.took, m.refused:
		m.state, m.behind, m.again = wire.WorkerJoining, !m.refused, time.Time{}
		return nil
	}
	m.state, m.took = wire.WorkerFollowing, true
	return []Effect{FetchHeld{Generation: m.plan.Generation, Newer: m.applied, From: m.others()}}
}

// Behind tells whether this worker, outside the ring, does not keep up with the
// members' entries.
func (m *Machine) Behind() bool { return m.behind && m.outside() }

// followAgain tries once more to keep up with the members: after a while, and then after
// twice as long each time.
func (m *Machine) followAgain(now time.Time) []Effect {
	if m.state != wire.WorkerJoining || !m.behind || m.refused {
		return nil
	}
	if m.again.IsZero() {
		m.rest = min(longestRest*m.cfg.FailureTimeout, max(firstRest*m.cfg.FailureTimeout, 2*m.rest))
		m.again = now.Add(m.rest)
	}
	if now.Before(m.again) {
		return nil
	}
	m.again = time.Time{}
	return m.follow()
}

// others are the members but for an earlier incarnation of this worker.
func (m *Machine) others() []string {
	var ids []string
	for _, o := range m.plan.Members {
		if o.ID != m.cfg.ID {
			ids = append(ids, o.ID)
		}
	}
	return ids
}
