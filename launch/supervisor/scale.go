package supervisor

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// Which workers there are, as far as a status can say, and how many are wanted.

// markShown marks the workers that a status shows.
func markShown(workers []*child, s wire.Status) {
	for _, ch := range workers {
		if p, there := shownIn(s, ch); there {
			ch.shown, ch.wanted = true, ch.wanted && p.State == wire.WorkerDraining
		}
	}
}

// shownIn finds the process of a worker in a status.
func shownIn(s wire.Status, ch *child) (wire.Process, bool) {
	i := slices.IndexFunc(s.Processes, func(p wire.Process) bool {
		return p.Role == wire.RoleWorker && p.ID == ch.id && ch.pid != 0 && p.PID == ch.pid
	})
	if i < 0 {
		return wire.Process{}, false
	}
	return s.Processes[i], true
}

// reconcile counts how many workers are lacking for a number that is wanted, and
// finds those that have finished and may start again. One that is asked to leave
// does not count. One that has left, and whose process has yet to end, comes back
// when that has.
func reconcile(workers []*child, s wire.Status, want int) (lack int, free []*child) {
	lack = want
	for _, ch := range workers {
		p, there := shownIn(s, ch)
		switch {
		case ch.finished:
			free = append(free, ch)
		case there && p.State == wire.WorkerDraining:
		default:
			ch.wanted = !there && ch.shown
			lack--
		}
	}
	return lack, free
}

// onWanted acts on a newer scale as soon as there is a newer status: workers on their way
// out do not count.
func (s *Supervisor) onWanted(e Wanted) {
	if s.phase == training && e.Intent.Scales > s.scales && !e.Intent.Stop && s.stop.asked.IsZero() {
		s.scales, s.scaleTo = e.Intent.Scales, e.Intent.Workers
		s.look()
	}
}

// scale starts the workers that are wanted and not there. Those that are too many leave by
// themselves: the coordinator asks them to.
func (s *Supervisor) scale() {
	lack, free := reconcile(s.workers(), s.status, s.scaleTo)
	s.scaleTo = 0
	for range lack {
		if len(free) == 0 {
			ch := s.addWorker()
			s.emit(Start{ch.id, ch.role})
			continue
		}
		ch := free[0]
		free = free[1:]
		ch.finished, ch.restarts = false, restarts{}
		s.pressure = pressure{} // whoever asks for more may have made room
		if !ch.alive {          // one that was left out may have yet to end
			s.emit(Start{ch.id, ch.role})
		}
	}
}
