package step

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// The part of a step that a member computes, until the step is reduced.

// beginStep starts the step after the agreed one, with the micro-batches that members already
// hold.
func (m *Machine) beginStep(a agreement) []Effect {
	m.lineage = a.lineage
	var out []Effect
	if len(a.held[m.rank]) == 0 {
		if len(m.summed) > 0 {
			out = append(out, Reset{})
		}
		m.summed, m.inFlight = nil, -1
	}
	if m.stopped {
		return append(out, m.stopTraining()...)
	}
	if m.lineage.Generation == 0 {
		m.lineage = wire.Lineage{Session: m.plan.Session, Generation: m.plan.Generation, From: a.newest, Since: m.plan.Since}
	}
	m.recompute, m.unstarted, m.lostMembers = a.lostMicroBatches(m.plan.MicroBatches), nil, false
	m.nextShare = assign(m.plan, make([][]int, len(m.plan.Members)))[m.rank]
	m.assigned = assign(m.plan, a.held)[m.rank]
	if m.inFlight >= 0 && !slices.Contains(m.summed, m.inFlight) {
		m.assigned = append(m.assigned, m.inFlight)
	}
	m.state = wire.WorkerComputing
	return append(out, m.computeOrReduce()...)
}

// computeOrReduce starts the next micro-batch, or the reduction when none is left.
func (m *Machine) computeOrReduce() []Effect {
	if m.state != wire.WorkerComputing || m.computing {
		return nil
	}
	if len(m.assigned) > 0 {
		m.computing, m.current = true, Compute{m.applied + 1, m.assigned[0], slices.Contains(m.recompute, m.assigned[0])}
		return []Effect{m.current}
	}
	if m.ringBroken {
		m.state = wire.WorkerBroken
		return nil
	}
	m.state, m.receiving = wire.WorkerReducing, len(m.plan.Members) == 1
	return []Effect{Reduce{m.plan.Generation, m.applied + 1, m.votes()}}
}

func (m *Machine) votes() replica.Votes {
	return replica.Votes{Stop: m.stopRequested || m.diverged, Pause: m.drainRequested, Save: m.saveDue}
}

// onComputed adds the gradient to the sum if it is still assigned to this worker.
func (m *Machine) onComputed(e Computed) []Effect {
	m.computing = false
	var out []Effect
	i := slices.Index(m.assigned, e.Index)
	if e.Step == m.applied+1 && (i >= 0 || e.Index == m.inFlight) {
		if i >= 0 {
			m.assigned = slices.Delete(m.assigned, i, i+1)
		}
		m.summed = append(m.summed, e.Index)
		slices.Sort(m.summed)
		out = append(out, Add{e.Index})
	}
	if m.deferred != nil {
		out = append(out, m.deferred)
		m.deferred = nil
		return out
	}
	return append(out, m.computeOrReduce()...)
}
