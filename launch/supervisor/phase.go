package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// phase is how far the run is.
type phase int

const (
	starting   phase = iota
	training         // until all workers have finished
	rescuing         // the run cannot go on: live workers store what they hold
	lastStatus       // the last status is fetched
	lastCall         // the user's last call is made
	answering        // a service that is to end next must answer: it may have been started a moment ago
	closing          // a service was asked to end
	flushing         // the checkpoint service gets the last energy readings
	ended
)

const (
	// rescueWithin bounds how long live workers may take to store what they hold.
	rescueWithin = 5 * time.Minute
	// closeWithin bounds the end of a service that was asked to: a slow disk may
	// have much to write.
	closeWithin = 2 * time.Minute
)

// supervises reports whether there are workers that train or store.
func (s *Supervisor) supervises() bool { return s.phase == training || s.phase == rescuing }

func (s *Supervisor) enter(p phase) { s.phase, s.bound, s.tellAt = p, time.Time{}, time.Time{} }

// end ends the run.
func (s *Supervisor) end(err error) {
	if s.phase == ended {
		return
	}
	s.enter(ended)
	for _, ch := range s.children {
		ch.due = time.Time{}
	}
	s.emit(End{err})
}

// fail ends a run that cannot go on, after a rescue where it was training.
func (s *Supervisor) fail(err error) {
	killed := errors.Is(err, ErrKilled)
	switch {
	case s.phase == training && !killed:
		s.rescue(err)
	case s.phase == training:
		s.end(fmt.Errorf("%w, without a checkpoint", err))
	case s.cause != nil:
		s.emit(Log{Error, "not all was stored: " + err.Error()})
		s.end(errors.Join(s.cause, err))
	default:
		s.end(err)
	}
}

// rescue lets live workers store what they hold, as at a stop, before the run ends.
func (s *Supervisor) rescue(cause error) {
	s.cause = cause
	s.emit(Log{Error, "the run ends: " + cause.Error()})
	if s.find(wire.IDCheckpoint).gone {
		s.end(cause) // nobody stores
		return
	}
	waiting := false
	for _, ch := range s.workers() {
		if !ch.alive {
			ch.finish()
		}
		waiting = waiting || !ch.finished
	}
	s.enter(rescuing)
	if !waiting {
		return
	}
	s.bound = s.now.Add(rescueWithin)
	s.tell("the run cannot continue; its live processes store their state")
	s.onStopAsked()
}

// onDone goes on to the next phase.
func (s *Supervisor) onDone(e Done) {
	if e.Status != nil {
		s.observe(*e.Status)
	}
	switch {
	case s.phase == lastCall:
		if s.stop.asked.IsZero() { // what a stop breaks off belongs to an orderly end
			s.last = e.Err
		}
		s.close(wire.IDCoordinator)
	case e.Err != nil:
		s.fail(e.Err)
	case s.phase == lastStatus && s.cfg.LastCall && e.Stored && s.cause == nil && s.stop.asked.IsZero():
		s.enter(lastCall)
		s.emit(Do{Job: LastCall})
	case s.phase == lastStatus:
		s.close(wire.IDCoordinator)
	case s.phase == answering:
		s.dismiss()
	case s.phase == flushing: // the checkpoint service is the last to go: it holds the ledger
		s.close(wire.IDCheckpoint)
	}
}

// close asks a service to end, as soon as it answers: one that was started a moment ago
// is to do what the one before it left.
func (s *Supervisor) close(id string) {
	if s.service = s.find(id); s.service.gone {
		s.afterClose()
		return
	}
	s.enter(answering)
	s.emit(Do{Job: Answer, Service: id})
}

func (s *Supervisor) dismiss() {
	ch := s.service
	ch.dismissed, ch.due = true, time.Time{}
	if s.enter(closing); !ch.alive {
		s.closed()
		return
	}
	s.bound, s.tellAt = s.now.Add(closeWithin), s.now.Add(waiting.Patience)
	s.emit(Terminate{ch.id})
}

// passPhase does what follows where a phase takes long.
func (s *Supervisor) passPhase() {
	if s.due(s.tellAt) && s.phase == closing {
		s.tellAt = time.Time{}
		s.tell("waiting for the %s to end, at most %s", s.service.name(), closeWithin)
	}
	if !s.due(s.bound) {
		return
	}
	s.bound = time.Time{}
	switch s.phase {
	case rescuing:
		s.fail(fmt.Errorf("the workers have not stored their state within %s", rescueWithin))
	case closing:
		s.service.overdue = true
		s.emit(Kill{s.service.id})
	}
}

// closed judges how a service has ended that was asked to.
func (s *Supervisor) closed() {
	ch := s.service
	var err error
	switch {
	case ch.ending.Manner == exit.Succeeded:
		s.afterClose()
		return
	case ch.overdue:
		err = fmt.Errorf("%s did not end by itself within %s", ch.name(), closeWithin)
	case ch.ending.Manner != exit.Killed:
		err = fmt.Errorf("%s: %s", ch.name(), ch.ending.Words)
	}
	if err != nil && ch.role == wire.RoleCheckpoint { // it holds the ledger
		s.fail(err)
		return
	}
	// Somebody else's signal was quicker, or there was nothing left to do.
	s.emit(Log{Info, ch.name() + " ended another way than asked to: " + ch.ending.Words})
	s.afterClose()
}

// afterClose goes on when a service has ended.
func (s *Supervisor) afterClose() {
	if s.service.role == wire.RoleCheckpoint {
		if s.cause != nil {
			s.end(s.cause)
		} else {
			s.end(s.last)
		}
		return
	}
	s.enter(flushing)
	s.emit(Do{Job: Flush})
}
