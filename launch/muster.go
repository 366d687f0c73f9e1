package launch

import (
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// Which workers there are, as far as a status can say.

// show tells the workers what a status says of them.
func show(workers []*child, s wire.Status) {
	for _, ch := range workers {
		if p, there := shownIn(s, ch); there {
			ch.shown, ch.again = true, ch.again && p.State == wire.WorkerDraining
		}
	}
}

// shownIn finds the process of a worker in a status.
func shownIn(s wire.Status, ch *child) (wire.Process, bool) {
	i := slices.IndexFunc(s.Processes, func(p wire.Process) bool {
		return p.Role == wire.RoleWorker && p.ID == ch.id && ch.proc != nil && p.PID == ch.proc.PID
	})
	if i < 0 {
		return wire.Process{}, false
	}
	return s.Processes[i], true
}

// muster counts how many workers are lacking for a number that is wanted, and
// finds those that have finished and may start again. One that is asked to leave
// does not count. One that has left, and whose process has yet to end, comes back
// when that has.
func muster(workers []*child, s wire.Status, want int) (lack int, free []*child) {
	lack = want
	for _, ch := range workers {
		p, there := shownIn(s, ch)
		switch {
		case ch.finished:
			free = append(free, ch)
		case there && p.State == wire.WorkerDraining:
		default:
			ch.again = !there && ch.shown
			lack--
		}
	}
	return lack, free
}
