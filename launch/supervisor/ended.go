package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// What follows on the start and on the end of a process.

func (s *Supervisor) onStarted(e Started) {
	ch := s.find(e.ID)
	ch.pid, ch.started, ch.alive = e.PID, s.now, true
	ch.first, ch.shown, ch.wanted, ch.useful = false, false, false, false
}

// onNotStarted tries again: what keeps a process from starting while the run goes on may
// pass, and counts as an end.
func (s *Supervisor) onNotStarted(e NotStarted) {
	ch := s.find(e.ID)
	if ch.first {
		s.end(e.Err)
		return
	}
	wait, v := ch.restarts.after(life{manner: exit.Reported, code: exit.Failure, steps: s.progress.steps})
	if v != restart {
		ch.gone = true
		s.fail(e.Err)
		return
	}
	s.tell("%s; it is tried again", e.Err)
	ch.due = s.now.Add(wait)
}

func (s *Supervisor) onEnded(e Ended) {
	ch := s.find(e.ID)
	if ch == nil || !ch.alive || ch.pid != e.PID {
		return
	}
	s.limits = e.Limits
	ch.alive, ch.ending = false, e.Ending
	if ch.dismissed {
		s.closed()
		return
	}
	lacks := lacked(e.Ending, e.Ending.Manner == exit.Killed && s.oom.take(e.Limits.OOMKills))
	if ch.role == wire.RoleWorker && s.workerEnded(ch, lacks) {
		return
	}
	wait, v := ch.restarts.after(life{
		manner: e.Ending.Manner, code: e.Ending.Report.Code, scarce: lacks != none,
		lasted: s.now.Sub(ch.started), useful: ch.useful, steps: s.progress.steps,
	})
	if lacks != none {
		s.pressure.note(s.now, lacks, ch.name(), e.Ending)
		crowded := v == noRoom || ch.restarts.scarce >= roomForFewer || s.pressure.crowded(s.now)
		if ch.role == wire.RoleWorker && crowded && s.leaveOut(ch) {
			return
		}
	}
	switch v {
	case noRoom:
		ch.gone = true
		s.fail(s.scarce(fmt.Sprintf("%s ended %s in a row", ch.name(), often(ch.restarts.scarce))))
		return
	case giveUp:
		ch.gone = true
		s.fail(ch.fatal(s.cfg.Log(ch.id)))
		return
	}
	if e.Ending.Manner == exit.Reported || e.Ending.Manner == exit.Crashed || lacks != none {
		ch.failure = e.Ending.Words
	}
	// The coordinator tells of workers that were killed, with what it did about it.
	if ch.role != wire.RoleWorker || ch.failure != "" {
		s.emit(Tell{ch.restartLine(lacks, wait)})
	}
	ch.due = s.now.Add(wait)
}

// workerEnded reports the end of a worker to the coordinator, and whether nothing more
// follows on it.
func (s *Supervisor) workerEnded(ch *child, lacks resource) (settled bool) {
	if ch.ending.Manner == exit.Succeeded && !ch.finished {
		if ch.wanted && s.stop.asked.IsZero() && s.status.Step < s.cfg.Steps {
			s.emit(Start{ch.id, ch.role})
		} else {
			ch.finished = true
		}
		return true
	}
	s.emit(Suspect{ch.suspicion(lacks)})
	if !s.stop.signaled.IsZero() || s.cause != nil { // it was told to leave, or the run ends without it
		ch.finished = true
	}
	return ch.finished
}

// leaveOut lets the run go on without a worker for which the machine has no room, if
// the run may have fewer.
func (s *Supervisor) leaveOut(ch *child) bool {
	others := slices.DeleteFunc(slices.Clone(s.workers()), func(w *child) bool { return w == ch || w.finished })
	if len(others) < s.cfg.Min {
		return false
	}
	ch.finish()
	s.pressure.left++
	s.pressure.ends, s.pressure.since = nil, time.Time{}
	for _, w := range others {
		w.restarts.scarce = 0 // they have more room now
	}
	s.tell("%s is left out, %d of %d workers go on: %s", ch.name(), len(others), s.cfg.Workers, s.pressure.text(s.limits))
	return true
}

// finish says that a worker is not started again.
func (ch *child) finish() { ch.finished, ch.due = true, time.Time{} }

// relieve lets a run that gets nowhere for want of a resource go on with a worker less,
// or ends it.
func (s *Supervisor) relieve() error {
	if s.cause != nil || !s.stop.asked.IsZero() || !s.pressure.starves(s.now, s.status.State) {
		return nil
	}
	for _, ch := range slices.Backward(s.workers()) {
		if ch.finished || !s.leaveOut(ch) {
			continue
		}
		if ch.alive {
			s.emit(Kill{ch.id}) // it holds no step that the others do not
		}
		return nil
	}
	return s.scarce(fmt.Sprintf("the run has made no new step for %s", starvedAfter))
}

// scarce is the error of a run that cannot go on for want of a resource.
func (s *Supervisor) scarce(what string) error {
	return exit.Wrap(exit.Resource, s.pressure.hint(), fmt.Errorf("%s: %s", what, s.pressure.text(s.limits)))
}
