package local

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
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
	command   process.Command
	role, id  string
	proc      *process.Process
	started   time.Time
	early     int  // ends in a row after a short life
	finished  bool // ended as it should; not started again
	dismissed bool // a service that is asked to end; not started again
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

// ErrKilled is the cause of a Run that was told to end at once.
var ErrKilled = errors.New("ended at once")
