package local

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// Bounds of starting a process again.
const (
	firstPause = 100 * time.Millisecond // doubles with every early end
	lastPause  = 5 * time.Second
	healthy    = 30 * time.Second // a life longer than this is no early end
	killed     = 3 * time.Second  // nor is one longer than this that a SIGKILL ended
	mostEnds   = 6                // early ends in a row after which a process cannot live
)

// child is a process that is kept alive.
type child struct {
	command  process.Command
	role, id string
	proc     *process.Process
	started  time.Time
	early    int  // ends in a row after a short life
	finished bool // ended as it should; not started again
	shown    bool // the status has shown this process
	again    bool // wanted, but on its way out: started again when it has ended
}

// show tells the workers what a status says of them.
func show(workers []*child, s wire.Status) {
	for _, ch := range workers {
		if p, there := shownIn(s, ch); there {
			ch.shown, ch.again = true, ch.again && p.State == draining
		}
	}
}

// draining is the state of a worker that was asked to leave.
const draining = "draining"

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
		case there && p.State == draining:
		default:
			ch.again = !there && ch.shown
			lack--
		}
	}
	return lack, free
}

// pause returns how long to wait before a child that ended at now is started
// again, or an error when it cannot live.
func (c *child) pause(now time.Time) (time.Duration, error) {
	life := now.Sub(c.started)
	if life > healthy || life > killed && c.proc.Killed() {
		c.early = 0
	}
	c.early++
	// A process that says that its input or its machine is at fault will say so
	// again.
	code := c.proc.ExitCode()
	hopeless := code == exit.Usage || code == exit.Data || code == exit.Resource && c.early >= 3
	if hopeless || c.early >= mostEnds {
		err := fmt.Errorf("%s ended %d times in a row: %w", c.command.Name, c.early, c.proc.Err())
		if words := process.LastWords(c.command.Log, 5); words != "" {
			err = fmt.Errorf("%w; its last words:\n%s", err, words)
		}
		if code <= 0 {
			code = exit.Failure
		}
		return 0, exit.Wrap(code, "its whole log is "+c.command.Log, err)
	}
	return min(firstPause<<(c.early-1), lastPause), nil
}

// ErrKilled is the cause of a Run that was told to end without a checkpoint.
var ErrKilled = errors.New("ended without a checkpoint")
