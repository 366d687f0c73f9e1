package roster

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/coordinator/plan"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
)

// Worker describes a worker for the status.
type Worker struct {
	Registration wire.Registration
	Beat         wire.Beat // zero before the first
	Rank         int       // -1 outside the ring
	Share        int
	State        wire.ProcessState
	Refused      string
	Waits        string  // why it is not admitted yet
	Slow         float64 // its part of the members' median speed, where that is clearly less; else 0
}

// Workers lists the registered workers by ID.
func (r *Roster) Workers() []Worker {
	var all []Worker
	slow := r.slow()
	for _, w := range r.sorted() {
		if !w.registered || w.gone != "" {
			continue
		}
		waits := w.waitReason
		if !w.surplusSince.IsZero() {
			waits = "the run has the " + words.Several(r.intent.Workers, "worker") + " that it was scaled to"
		}
		v := Worker{Registration: w.reg, Beat: w.beat, Rank: r.rank(w.reg.Incarnation), State: w.beat.State, Refused: w.refusal, Waits: waits, Slow: slow[w.reg.Incarnation]}
		switch {
		case w.refusal != "":
			v.State = wire.WorkerRefused
		case w.lastHeartbeat.IsZero():
			v.State = wire.WorkerRegistered
		case waits != "":
			v.State = wire.WorkerWaiting
		case v.Rank >= 0 && r.leaving(w):
			v.State = wire.WorkerDraining
		}
		if v.Rank >= 0 {
			v.Share = r.plan.Members[v.Rank].Share
		}
		all = append(all, v)
	}
	return all
}

// slow returns the members that are clearly slower than the others, by incarnation.
func (r *Roster) slow() map[string]float64 {
	var there []*worker
	var speeds []float64
	for _, w := range r.members() {
		if w.gone == "" {
			there, speeds = append(there, w), append(speeds, w.speed())
		}
	}
	out := map[string]float64{}
	for i, part := range plan.Slow(speeds) {
		out[there[i].reg.Incarnation] = part
	}
	return out
}

// Refused returns why an incarnation cannot be admitted; "": it can.
func (r *Roster) Refused(incarnation string) string {
	if w := r.workers[incarnation]; w != nil {
		return w.refusal
	}
	return ""
}

// sorted lists the workers by ID and incarnation: nothing may depend on the order of a
// map.
func (r *Roster) sorted() []*worker {
	return slices.SortedFunc(maps.Values(r.workers), byName)
}

func byName(a, b *worker) int {
	return cmp.Or(strings.Compare(a.reg.ID, b.reg.ID), strings.Compare(a.reg.Incarnation, b.reg.Incarnation))
}

// rank returns the place of an incarnation in the plan, or -1.
func (r *Roster) rank(incarnation string) int {
	if rank, ok := r.ranks[incarnation]; ok {
		return rank
	}
	return -1
}

// members returns the workers of the plan, by rank.
func (r *Roster) members() []*worker {
	all := make([]*worker, len(r.plan.Members))
	for i, m := range r.plan.Members {
		all[i] = r.workers[m.Incarnation]
	}
	return all
}
