package local

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

// Bounds of starting a process again.
const (
	firstPause = 100 * time.Millisecond // doubles with every early end
	lastPause  = 5 * time.Second
	killPause  = time.Second      // the longest after a kill, which is not the process's fault
	healthy    = 30 * time.Second // a life longer than this is no early end
	unkilled   = 3 * time.Second  // nor is one longer than this that a SIGKILL ended
	mostEnds   = 6                // early ends in a row after which a process cannot live
	mostKills  = 30               // early kills in a row: the system may want for memory
	mostScarce = 3                // ends in a row for want of something of the machine
)

// child is a process that is kept alive.
type child struct {
	command   process.Command
	role, id  string
	proc      *process.Process
	started   time.Time
	trouble   trouble
	failure   string // why it ended, until the run gets on
	finished  bool   // ended as it should; not started again
	shown     bool   // the status has shown this process
	again     bool   // wanted, but on its way out: started again when it has ended
	dismissed bool   // a service that is asked to end; not started again
}

// end is how a process ended.
type end struct {
	code       int
	killed     bool // by SIGKILL
	life       time.Duration
	progress   bool   // the run got on meanwhile
	checkpoint uint64 // newest durable step
}

// trouble is what is held against a process. It is a value without clock or
// process.
type trouble struct {
	early, kills, scarce int // in a row
	checkpoint           uint64
}

// after takes an end and says how long to wait before the next start, or, where
// the process cannot live, how many ends in a row say so.
func (t *trouble) after(e end) (wait time.Duration, hopeless int) {
	if e.killed {
		if e.life > unkilled || e.progress {
			t.kills = 0
		}
		if t.kills++; t.kills >= mostKills {
			return 0, t.kills
		}
		return min(firstPause<<(t.kills-1), killPause), 0
	}
	if e.life > healthy {
		t.early = 0
	}
	t.early++
	// A service that cannot store lives well until it has to the next time: only
	// what it stored counts for it.
	if e.checkpoint > t.checkpoint {
		t.scarce = 0
	}
	t.checkpoint = e.checkpoint
	if e.code == exit.Resource {
		t.scarce++
	}
	switch {
	case t.scarce >= mostScarce:
		return 0, t.scarce
	// A process that says that its input is at fault will say so again.
	case e.code == exit.Usage, e.code == exit.Data, t.early >= mostEnds:
		return 0, t.early
	}
	return min(firstPause<<(t.early-1), lastPause), 0
}

// hopeless is the error of a process that cannot live.
func (c *child) hopeless(ends int) error {
	err := fmt.Errorf("%s ended %d times in a row: %w", c.command.Name, ends, c.proc.Err())
	if words := process.LastWords(c.command.Log, 5); words != "" {
		err = fmt.Errorf("%w; its last words:\n%s", err, words)
	}
	code := c.proc.ExitCode()
	if code <= 0 {
		code = exit.Failure
	}
	return exit.Wrap(code, "its whole log is "+c.command.Log, err)
}

// why says in a line why the process ended.
func (c *child) why() string {
	words, _, _ := strings.Cut(process.LastWords(c.command.Log, 5), "\n")
	if text, told := strings.CutPrefix(words, "error: "); told {
		return text
	}
	return c.proc.Err().Error()
}

// ErrKilled is the cause of a Run that was told to end at once.
var ErrKilled = errors.New("ended at once")
