package meter

import "github.com/gramme-project/gramme/energy"

// How the energy since the last sample is booked to the phases of a process.

// bookEnergy divides the energy since the last sample among the slots since then and adds
// it to the parts of the open reading.
func (t *track) bookEnergy(uj int64) {
	t.microJ += uj
	t.joules += energy.Joules(uj)
	weights := make([]uint64, len(t.slots))
	for i, s := range t.slots {
		if weights[i] = s.nanos; t.desc.ProcessorTime {
			weights[i] = s.busy
		}
	}
	shares := energy.Split(nil, uj, weights)
	for i, s := range t.slots {
		t.lastStep = s.lastStep
		t.mergePart(energy.Part{
			Phase: s.phase, Generation: s.generation, FirstStep: s.firstStep, LastStep: s.lastStep,
			MicroJ: shares[i], Nanos: int64(s.nanos),
		})
	}
	t.slots = nil
}

func (t *track) mergePart(p energy.Part) {
	for i := len(t.parts) - 1; i >= 0; i-- {
		if q := &t.parts[i]; q.Phase == p.Phase && q.Generation == p.Generation {
			q.FirstStep, q.LastStep = min(q.FirstStep, p.FirstStep), max(q.LastStep, p.LastStep)
			q.MicroJ += p.MicroJ
			q.Nanos += p.Nanos
			return
		}
	}
	if p.MicroJ > 0 || p.Nanos > 0 {
		t.parts = append(t.parts, p)
	}
}
