package coordinator

import (
	"cmp"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// present is how long a process counts as there after its heartbeat.
const present = 3 * time.Second

// source is a process that reports the energy that it uses.
type source struct {
	worker  bool
	process wire.ProcessBeat // of a worker: joules and watts only
	heard   time.Time
}

// sources holds all processes that ever sent a heartbeat, by a unique key: the joules of
// processes that ended still count.
type sources map[string]source

func (s sources) worker(now time.Time, b wire.Beat) {
	s["worker/"+b.Incarnation] = source{worker: true, process: wire.ProcessBeat{Joules: b.Joules, Watts: b.Watts}, heard: now}
}

func (s sources) other(now time.Time, b wire.ProcessBeat) {
	s[processKey(b)] = source{process: b, heard: now}
}

// total returns the joules of all processes, and the watts of those that are there.
func (s sources) total(now time.Time) (joules, watts float64) {
	for _, p := range s {
		joules += float64(p.process.Joules)
		if now.Sub(p.heard) <= present {
			watts += float64(p.process.Watts)
		}
	}
	return joules, watts
}

// others lists the present processes that are not workers, by role and ID.
func (s sources) others(now time.Time) []wire.ProcessBeat {
	var all []wire.ProcessBeat
	for _, p := range s {
		if !p.worker && now.Sub(p.heard) <= present {
			all = append(all, p.process)
		}
	}
	slices.SortFunc(all, func(a, b wire.ProcessBeat) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID), cmp.Compare(processKey(a), processKey(b)))
	})
	return all
}
