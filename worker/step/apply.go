package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How the state changes, and what follows.

// perform changes the state, now or once nothing is computed from it.
func (m *Machine) perform(e Effect) []Effect {
	if m.busy {
		m.ready = e
		return nil
	}
	return []Effect{e}
}

func (m *Machine) onApplied(now time.Time, e Applied) []Effect {
	m.applied, m.digest, m.diverged = e.Step, "", e.Diverged
	m.forget()
	m.stopped = e.Stop && !m.outside() || m.applied >= m.cfg.Steps // who follows has no part in a stop
	out := []Effect{Reset{}}
	switch {
	case m.state == wire.WorkerCatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.next()...)
	}
	if e.Differ {
		// In the next generation members compare their states, and those that differ
		// from most take theirs.
		m.suspected = now
		return append(out, m.giveUp(fmt.Sprintf("the replicas were not equal before step %d", e.Step))...)
	}
	switch {
	case m.stopped:
		return append(out, m.halt()...)
	case e.Save:
		m.saved, m.saveDue = now, false
		out = append(out, m.save(false))
	}
	if e.Hold {
		m.state = wire.WorkerHolding
		return out
	}
	m.todo = slices.Clone(m.later)
	m.state = wire.WorkerComputing
	return append(out, m.advance()...)
}

func (m *Machine) onLoaded(e Loaded) []Effect {
	m.applied, m.digest, m.diverged = e.Step, e.Digest, e.Diverged
	m.stopped = m.applied >= m.cfg.Steps // not with the state that it replaces
	m.forget()
	out := []Effect{Reset{}}
	switch {
	case m.state == wire.WorkerCatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.next()...)
	}
	return out
}
