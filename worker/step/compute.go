package step

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// What a member computes of a step, until it is reduced.

// begin starts on the step after the agreed one, with what members hold of it.
func (m *Machine) begin(a agreement) []Effect {
	m.trained = a.trained
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
	if m.trained.Generation == 0 {
		m.trained = wire.Begun{Session: m.plan.Session, Generation: m.plan.Generation, From: a.newest, Since: m.plan.Since}
	}
	m.lost, m.left, m.bereft = a.lost(m.plan.MicroBatches), nil, false
	m.later = assign(m.plan, make([][]int, len(m.plan.Members)))[m.rank]
	m.todo = assign(m.plan, a.held)[m.rank]
	if m.claim >= 0 && !slices.Contains(m.done, m.claim) {
		m.todo = append(m.todo, m.claim) // under way
	}
	m.state = wire.WorkerComputing
	return append(out, m.advance()...)
}

// advance computes what is left to compute, or reduces.
func (m *Machine) advance() []Effect {
	if m.state != wire.WorkerComputing || m.busy {
		return nil
	}
	if len(m.todo) > 0 {
		m.busy, m.at = true, Compute{m.applied + 1, m.todo[0], slices.Contains(m.lost, m.todo[0])}
		return []Effect{m.at}
	}
	if m.dead {
		m.state = wire.WorkerBroken
		return nil
	}
	m.state = wire.WorkerReducing
	return []Effect{Reduce{m.plan.Generation, m.applied + 1, m.votes()}}
}

func (m *Machine) votes() replica.Votes {
	return replica.Votes{Stop: m.stop || m.diverged, Hold: m.drain, Save: m.saveDue}
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
