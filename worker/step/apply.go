package step

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// How the state changes, and the effects that follow.

// changeState applies or loads, at once or when the gradient in flight is done.
func (m *Machine) changeState(e Effect) []Effect {
	if m.computing {
		m.deferred = e
		return nil
	}
	return []Effect{e}
}

func (m *Machine) onApplied(now time.Time, e Applied) []Effect {
	m.applied, m.digest, m.diverged = e.Step, "", e.Diverged
	m.forgetPartialStep()
	// Only members that summed the entry decide by its votes. One that fetched it stops if
	// they say so in their hellos: none of them may be left, and a follower takes no part.
	m.stopped = e.Stop && m.state == wire.WorkerReducing || m.applied >= m.cfg.Steps
	out := []Effect{Reset{}}
	switch {
	case m.state == wire.WorkerCatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.fetchNextEntry()...)
	}
	if e.Differ {
		// In the next generation members compare their states, and the minority takes
		// the majority's.
		m.lastSuspicion = now
		return append(out, m.requestGeneration(fmt.Sprintf("the replicas were not equal before step %d", e.Step))...)
	}
	switch {
	case m.stopped:
		return append(out, m.stopTraining()...)
	case e.Save:
		m.lastSave, m.saveDue = now, false
		out = append(out, m.save(false))
	}
	if e.Pause {
		m.state = wire.WorkerHolding
		return out
	}
	m.assigned = slices.Clone(m.nextShare)
	m.state = wire.WorkerComputing
	return append(out, m.computeOrReduce()...)
}

func (m *Machine) onLoaded(e Loaded) []Effect {
	m.applied, m.digest, m.diverged = e.Step, e.Digest, e.Diverged
	m.stopped = m.applied >= m.cfg.Steps // a stop belonged to the state that this one replaces
	m.forgetPartialStep()
	out := []Effect{Reset{}}
	switch {
	case m.state == wire.WorkerCatchingUp:
		return append(out, m.catchUp()...)
	case m.outside():
		return append(out, m.fetchNextEntry()...)
	}
	return out
}
