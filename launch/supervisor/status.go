package supervisor

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// onLooked does what is due while the run trains.
func (s *Supervisor) onLooked(e Looked) {
	if !s.supervises() {
		return
	}
	s.limits = e.Limits
	if e.Status != nil {
		s.observe(*e.Status)
	}
	s.killHung(e)
	if err := s.awaitCoordinator(); err != nil {
		s.fail(err)
		return
	}
	s.showStatus()
	if s.scaleTo > 0 {
		s.scale()
	}
	s.killStragglers()
	s.oom.expire(s.now, e.Limits.OOMKills)
	if err := s.relieve(); err != nil {
		s.fail(err)
		return
	}
	if err := s.escalate(); err != nil {
		s.fail(err)
	}
}

// observe takes a status.
func (s *Supervisor) observe(now wire.Status) {
	if progressed(s.status, now) {
		s.progressAt = s.now
	}
	stepped, stored := s.progress.note(now.Step, now.Checkpoint)
	if stepped {
		s.pressure.since = time.Time{}
	}
	for _, ch := range s.children {
		if stored {
			ch.failure = ""
		}
		switch p, there := shownIn(now, ch); ch.role {
		case wire.RoleWorker:
			if stepped && there && p.Rank >= 0 {
				ch.useful, ch.failure = true, ""
			}
		case wire.RoleCheckpoint:
			ch.useful = ch.useful || stored
		default:
			ch.useful = ch.useful || stepped
		}
	}
	for _, p := range now.Processes {
		worker := fmt.Sprintf("%s on %s", p.ID, p.Host)
		if p.Role == wire.RoleWorker && p.State == wire.WorkerRefused && s.refused[worker] != p.PID {
			s.refused[worker] = p.PID
			s.tell("worker %s is refused: %s", worker, p.Reason)
		}
	}
	s.status, s.answered = now, true
	markShown(s.workers(), now)
}

// showStatus puts into the status of the run what only the supervisor knows: which
// service fails, and what to warn of. The service itself is there again, and does not
// know.
func (s *Supervisor) showStatus() {
	state := wire.ProcessRunning
	for _, ch := range s.children {
		if ch.failure != "" && ch.role != wire.RoleWorker {
			state = wire.ProcessState(ch.name() + " fails: " + ch.failure)
		}
	}
	warnings := s.warnings()
	if state == wire.ProcessRunning && len(warnings) == 0 && !s.warned {
		return
	}
	s.warned = len(warnings) > 0 // what is over is taken back
	s.emit(Show{state, warnings})
}

// warnings are what there is to say of a run that goes on.
func (s *Supervisor) warnings() (all []wire.Warning) {
	if s.pressure.lasts(s.now) {
		all = append(all, s.pressure.warning(s.limits, s.cfg.Workers))
	}
	for _, ch := range s.children {
		if ch.restarts.ends >= mostReported && ch.restarts.scarce == 0 && ch.failure != "" {
			all = append(all, wire.Warning{Kind: wire.WarnRestarts, Subject: ch.name(), Text: fmt.Sprintf(
				"%s ended %s in a row and is started again at longer and longer intervals: %s", ch.name(), often(ch.restarts.ends), ch.failure)})
		}
	}
	return all
}
