package launch

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// child is a process that is kept alive.
type child struct {
	command   process.Command
	role      wire.Role
	id        string
	proc      *process.Process
	started   time.Time
	useful    bool // since then: a worker took part in a step, or a service did its work
	trouble   trouble
	absence   absence
	failure   string // why it ended, until the run gets on
	finished  bool   // ended as it should; not started again
	shown     bool   // the status has shown this process
	again     bool   // wanted, but on its way out: started again when it has ended
	dismissed bool   // a service that is asked to end; not started again
	gone      bool   // it cannot live; not started again
}

// givenUp is the error of a process that cannot live.
func (c *child) givenUp(e process.Ending, times int) error {
	hint := "its whole log is " + c.command.Log
	if e.Manner == process.Failed {
		if e.Report.Hint != "" {
			hint = e.Report.Hint
		}
		text := fmt.Sprintf("%s ended %s in a row: %s", c.command.Name, often(times), e.Words)
		if times <= 1 {
			text = fmt.Sprintf("%s ended: %s", c.command.Name, e.Words)
		}
		return exit.Wrap(e.Report.Code, hint, errors.New(text))
	}
	how := "crashed"
	if e.Manner == process.Killed {
		how = "was killed"
	}
	return exit.Wrap(exit.Failure, hint, fmt.Errorf("%s %s %s in a row, and the run made no new step meanwhile: %s", c.command.Name, how, often(times), e.Words))
}

func often(times int) string {
	if times == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", times)
}

// follows says in a line how a process ended that is started again.
func (c *child) follows(e process.Ending, starved bool, wait time.Duration) string {
	then := " and is started again"
	if wait >= time.Second {
		then += " in " + wait.Round(time.Second).String()
	}
	switch {
	case starved && e.Manner == process.Killed:
		return c.command.Name + " was killed by the kernel for want of memory" + then
	case e.Manner == process.Killed:
		return c.command.Name + " was killed" + then
	case e.Manner == process.Crashed:
		return c.command.Name + " crashed" + then + ": " + e.Words
	case e.Manner == process.Failed:
		return c.command.Name + " ended" + then + ": " + e.Words
	}
	return c.command.Name + " ended" + then
}

// ErrKilled is the cause of a Run that was told to end at once.
var ErrKilled = errors.New("ended at once")
