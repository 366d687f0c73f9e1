package supervisor

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// Bounds of a stop that gets nowhere. Steps that take long have longer.
const (
	idleFor  = time.Second      // where nothing trains, until the workers are told to leave
	stuckFor = 10 * time.Second // where steps should come, until then
	leaveFor = 30 * time.Second // from then on until they are killed
	slowStep = 3                // steps that one may wait for in any case
)

// stop is the wish to end the run, and what came of it. It is a value without
// clock or processes.
type stop struct {
	asked    time.Time // zero: nobody did
	accepted bool      // by the coordinator
	signaled time.Time // when the workers were signaled to leave; zero: not yet
}

// next says what is due: that the workers leave without a vote, or that they are
// killed. progressAt is when the run last made progress; storing, that nothing but
// the last checkpoint is still due, which takes as long as it takes.
func (s stop) next(now, progressAt time.Time, status wire.Status, storing bool) (leave, kill bool) {
	if s.asked.IsZero() || storing {
		return false, false
	}
	step := slowStep * time.Duration(status.StepSeconds.Or(0)*float64(time.Second))
	still := func(since time.Time, least time.Duration) bool {
		least = max(least, step)
		return now.Sub(since) > least && now.Sub(progressAt) > least
	}
	if !s.signaled.IsZero() {
		return false, still(s.signaled, leaveFor)
	}
	switch status.State {
	case wire.StateWaiting, wire.StatePreparing, "":
		return now.Sub(s.asked) > idleFor, false
	}
	return still(s.asked, stuckFor), false
}

// storing reports whether all that train have stopped and wait for the checkpoint.
func storing(s wire.Status) bool {
	members, stopped := census(s)
	return s.State == wire.StateStopping && members > 0 && stopped == members
}

// census counts the workers in the ring, and those of them that have stopped.
func census(s wire.Status) (members, stopped int) {
	for _, p := range s.Processes {
		if !p.Member() {
			continue
		}
		members++
		if p.State == wire.WorkerStopped {
			stopped++
		}
	}
	return members, stopped
}

// progressed reports whether a run got on from one status to another.
func progressed(before, now wire.Status) bool {
	_, then := census(before)
	_, stopped := census(now)
	return now.Step != before.Step || now.Checkpoint != before.Checkpoint || stopped > then
}

func (s *Supervisor) onStopAsked() {
	if s.stop.asked.IsZero() {
		s.stop.asked = s.now
	}
	if s.phase == lastCall {
		s.emit(Cancel{})
	}
}

// escalate brings a stop about: by the vote of the workers in their next step or, where
// no step comes, by signals; then by the end of the run.
func (s *Supervisor) escalate() error {
	if s.stop.asked.IsZero() {
		return nil
	}
	coordinator := s.find(wire.IDCoordinator).alive
	if s.cause != nil && !s.deposed {
		s.emit(StopWorkers{})
	}
	if !s.stop.accepted && !s.deposed {
		reason := "asked for by the user"
		if s.cause != nil {
			reason = "the run cannot go on"
		}
		s.emit(AskStop{reason})
	}
	stores := storing(s.status) || s.cause != nil && !coordinator // as far as anybody knows
	leave, kill := s.stop.next(s.now, s.progressAt, s.status, stores && s.find(wire.IDCheckpoint).alive && !s.deposed)
	if leave || s.deposed && s.stop.signaled.IsZero() {
		s.stop.signaled = s.now
		for _, ch := range s.workers() {
			if !ch.finished && ch.alive {
				s.emit(Terminate{ch.id})
			}
		}
	}
	if kill {
		return ErrKilled
	}
	return nil
}

// killStragglers kills workers that are still there long after the run was done: one
// that hangs would keep everything for ever. The next of its name finds nothing to do,
// and ends.
func (s *Supervisor) killStragglers() {
	if s.status.Checkpoint < s.cfg.Steps {
		return
	}
	if s.doneAt.IsZero() {
		s.doneAt = s.now
	}
	bound := s.cfg.Straggle
	if bound == 0 {
		bound = leaveFor
	}
	if s.now.Sub(s.doneAt) < bound {
		return
	}
	s.doneAt = time.Time{}
	for _, ch := range s.workers() {
		if !ch.finished && ch.alive {
			s.emit(Log{Warn, "the run is done, and " + ch.name() + " does not end"})
			s.emit(Kill{ch.id})
		}
	}
}
