package step

import (
	"time"

	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// How a worker outside the ring reaches the members' state while they train, so that they
// need not wait for it when it becomes one of them.

// maxEntriesBehind is up to how many entries are fetched instead of a state, which is
// three times as large as an entry.
const maxEntriesBehind = 3

// followBackoff is that of a worker that did not keep up.
func (m *Machine) followBackoff() waiting.Backoff {
	return waiting.Backoff{First: 30 * m.cfg.FailureTimeout, Longest: 600 * m.cfg.FailureTimeout}
}

// outside reports whether the worker is outside the ring.
func (m *Machine) outside() bool {
	return m.state == wire.WorkerJoining || m.state == wire.WorkerFollowing
}

// startFollowing begins with the entries since the worker's own state, if members still
// have them.
func (m *Machine) startFollowing() []Effect {
	m.state, m.askedState = wire.WorkerFollowing, false
	return m.fetchNextEntry()
}

// fetchNextEntry asks for the next entry, if there is one to come and a member to ask.
func (m *Machine) fetchNextEntry() []Effect {
	from := m.otherMembers()
	if len(from) == 0 || m.applied >= m.cfg.Steps || m.refused {
		m.state = wire.WorkerJoining
		return nil
	}
	return []Effect{FetchEntry{Generation: m.plan.Generation, Step: m.applied + 1, From: from, Await: true}}
}

// fetchStateInstead asks once for the members' state when no member has the entry any
// more. A worker that cannot fetch the state either joins as it is, and the members wait.
func (m *Machine) fetchStateInstead() []Effect {
	switch {
	case !m.outside():
		return nil
	case m.askedState, m.refused:
		m.state, m.behind, m.retryAt = wire.WorkerJoining, !m.refused, time.Time{}
		return nil
	}
	m.state, m.askedState = wire.WorkerFollowing, true
	return []Effect{FetchPinned{Generation: m.plan.Generation, Newer: m.applied, From: m.otherMembers()}}
}

// Behind reports whether this worker, outside the ring, does not keep up with the members'
// entries.
func (m *Machine) Behind() bool { return m.behind && m.outside() }

// retryFollowing tries again to keep up with the members, with exponential backoff.
func (m *Machine) retryFollowing(now time.Time) []Effect {
	if m.state != wire.WorkerJoining || !m.behind || m.refused {
		return nil
	}
	if m.retryAt.IsZero() {
		m.fellBehind++
		m.retryAt = now.Add(m.followBackoff().After(m.fellBehind))
	}
	if now.Before(m.retryAt) {
		return nil
	}
	m.retryAt = time.Time{}
	return m.startFollowing()
}

// otherMembers returns the members except an earlier incarnation of this worker.
func (m *Machine) otherMembers() []string {
	var ids []string
	for _, o := range m.plan.Members {
		if o.ID != m.cfg.ID {
			ids = append(ids, o.ID)
		}
	}
	return ids
}
