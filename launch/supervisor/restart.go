package supervisor

import (
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/waiting"
)

// Bounds of starting a process again.
const (
	healthy      = 30 * time.Second // a life longer than this resets the pause
	quiet        = 10 * time.Minute // a life longer than this is not in vain
	mostVain     = 8                // ends without a new step of the run between them, after which a process is given up
	mostKills    = 30               // likewise of those by SIGKILL
	mostScarce   = 6                // ends in a row of one process for want of a resource
	mostReported = 3                // likewise of those that the process reports itself
	roomForFewer = 3                // after so many a run with fewer workers is tried
)

// How long to wait before a process is started again, after so many lives of no use.
var (
	failedBackoff = waiting.Backoff{First: 100 * time.Millisecond, Longest: time.Minute}
	killedBackoff = waiting.Backoff{First: 100 * time.Millisecond, Longest: time.Second} // a SIGKILL is not its fault
	scarceBackoff = waiting.Backoff{First: time.Second, Longest: 16 * time.Second}       // want of a resource may pass
)

// life is how a process ended, and what it was good for.
type life struct {
	manner exit.Manner
	code   int  // that it reported, if it did
	scarce bool // the machine lacks something: memory, threads, files, disk
	lasted time.Duration
	useful bool   // a worker took part in a new step, or a service did its work
	steps  uint64 // new ones that the run has made so far
}

// verdict is what follows on an end.
type verdict int

const (
	restart verdict = iota // start it again after a pause
	giveUp                 // it cannot live
	noRoom                 // the machine has no room for it
)

// restarts is the restart policy of one process: what counts against it. It is a value
// without clock or process.
type restarts struct {
	ends        int // in a row that were of no use
	scarce      int // of these, for want of a resource
	vain, kills int // since the run last made a new step: ends, and those by SIGKILL
	steps       uint64
}

// after takes a life that has ended and says what follows, and how long to wait before
// the next start.
func (r *restarts) after(l life) (wait time.Duration, v verdict) {
	if l.useful || l.lasted > healthy {
		r.ends = 0
	}
	if l.useful {
		r.scarce = 0
	}
	if l.useful || l.steps > r.steps || l.lasted > quiet {
		r.vain, r.kills = 0, 0
	}
	r.steps = l.steps
	if l.manner == exit.Killed && !l.scarce {
		if r.kills++; r.kills >= mostKills {
			return 0, giveUp
		}
		return killedBackoff.After(r.kills), restart
	}
	r.ends++
	r.vain++
	backoff := failedBackoff
	switch reported := l.manner == exit.Reported; {
	case l.scarce:
		r.scarce++
		most := mostReported
		if !reported {
			backoff, most = scarceBackoff, mostScarce
		}
		if r.scarce >= most {
			return 0, noRoom
		}
	case reported && final(l.code), r.vain >= mostVain:
		return 0, giveUp
	}
	return backoff.After(r.ends), restart
}

// final tells whether a process that reports an exit code would do so again: its
// input is at fault.
func final(code int) bool { return code == exit.Usage || code == exit.Data || code == exit.Verify }

// progress counts the steps that a run had not made before. A step that was lost and is
// made again does not count: workers may be lost at the same step for ever.
type progress struct {
	known          bool
	newest, stored uint64
	steps          uint64
}

// note takes what a status shows, and tells whether steps were made and stored since.
func (p *progress) note(step, checkpoint uint64) (stepped, stored bool) {
	newest := max(p.newest, step, checkpoint)
	stepped, stored = p.known && newest > p.newest, p.known && checkpoint > p.stored
	p.known, p.newest, p.stored = true, newest, max(p.stored, checkpoint)
	if stepped {
		p.steps++
	}
	return stepped, stored
}
