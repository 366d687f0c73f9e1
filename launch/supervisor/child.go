package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// child is a process that is kept alive.
type child struct {
	role      wire.Role
	id        string
	pid       int // of the newest process
	alive     bool
	started   time.Time
	due       time.Time // when it is started again; zero: it is not
	first     bool      // it never ran, and the run needs it to begin
	useful    bool      // since its start: a worker took part in a step, or a service did its work
	restarts  restarts
	readiness readiness
	ending    exit.Ending // of the newest process that has ended
	failure   string      // why it ended, until the run gets on
	finished  bool        // ended as it should, or left out; not started again
	shown     bool        // the status has shown this process
	wanted    bool        // though it is on its way out: started again when it has ended
	dismissed bool        // a service that is asked to end; not started again
	overdue   bool        // it was killed, as it did not end when asked to
	gone      bool        // it cannot live; not started again
}

// name is what people call it.
func (ch *child) name() string {
	if ch.role == wire.RoleWorker {
		return string(ch.role) + " " + ch.id
	}
	return ch.id
}

// fatal is the error of a process that cannot live.
func (ch *child) fatal(log string) error {
	e, hint, times := ch.ending, "its whole log is "+log, ch.restarts.vain
	if e.Manner == exit.Reported {
		if e.Report.Hint != "" {
			hint = e.Report.Hint
		}
		text := fmt.Sprintf("%s ended %s in a row: %s", ch.name(), often(times), e.Words)
		if times <= 1 {
			text = fmt.Sprintf("%s ended: %s", ch.name(), e.Words)
		}
		return exit.Wrap(e.Report.Code, hint, errors.New(text))
	}
	how := "crashed"
	if e.Manner == exit.Killed {
		how, times = "was killed", ch.restarts.kills
	}
	return exit.Wrap(exit.Failure, hint, fmt.Errorf("%s %s %s in a row, and the run made no new step meanwhile: %s", ch.name(), how, often(times), e.Words))
}

func often(times int) string {
	if times == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", times)
}

// restartLine says how a process ended that is started again.
func (ch *child) restartLine(lacks resource, wait time.Duration) string {
	then := " and is started again"
	if wait >= time.Second {
		then += " in " + wait.Round(time.Second).String()
	}
	e := ch.ending
	switch {
	case lacks == memory && e.Manner == exit.Killed:
		return ch.name() + " was killed by the kernel for want of memory" + then
	case e.Manner == exit.Killed:
		return ch.name() + " was killed" + then
	case e.Manner == exit.Crashed:
		return ch.name() + " crashed" + then + ": " + e.Words
	case e.Manner == exit.Reported:
		return ch.name() + " ended" + then + ": " + e.Words
	}
	return ch.name() + " ended" + then
}

// suspicion is what the coordinator is told at once of a worker whose process is gone.
func (ch *child) suspicion(lacks resource) wire.Suspicion {
	evidence := wire.EvidenceEnded.With(ch.ending.Words)
	switch {
	case ch.ending.Manner == exit.Crashed:
		evidence = wire.EvidenceCrashed.With(ch.ending.Words)
	case ch.ending.Manner == exit.Killed && lacks == memory:
		evidence = wire.EvidenceEnded.With("killed by the kernel for want of memory")
	case ch.ending.Manner == exit.Killed:
		evidence = wire.EvidenceEnded.With(ch.name() + ": signal: killed")
	}
	return wire.Suspicion{From: wire.IDUp, Subject: ch.id, PID: ch.pid, Evidence: evidence, Final: true}
}
