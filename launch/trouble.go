package launch

import (
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

// Bounds of starting a process again.
const (
	firstPause = 100 * time.Millisecond // doubles with every end that was of no use
	lastPause  = time.Minute
	killPause  = time.Second // the longest after a kill, which is not the process's fault
	// scarcePause is the first after an end for want of something, which may pass.
	scarcePause  = time.Second
	lastScarce   = 16 * time.Second
	healthy      = 30 * time.Second // a life longer than this has no pause after it
	quiet        = 10 * time.Minute // nor is one longer than this in vain
	mostVain     = 8                // ends without a new step of the run between them, after which a process cannot live
	mostKills    = 30               // likewise of those by SIGKILL
	mostScarce   = 6                // ends in a row of one process for want of something
	mostTold     = 3                // likewise of those that the process tells of itself
	roomForFewer = 3                // after so many a run with fewer workers is tried
)

// end is how a process ended, and what it was good for.
type end struct {
	manner process.Manner
	code   int  // that it reported, where it has failed
	scarce bool // the machine lacks something: memory, threads, files, disk
	life   time.Duration
	useful bool   // a worker took part in a new step, or a service did its work
	steps  uint64 // new ones that the run has made so far
}

// verdict is what follows on an end.
type verdict int

const (
	again    verdict = iota // start it again after a pause
	hopeless                // it cannot live
	wanting                 // the machine has no room for it
)

// trouble is what is held against a process. It is a value without clock or
// process.
type trouble struct {
	ends        int // in a row that were of no use
	scarce      int // of these, for want of something
	vain, kills int // since the run last made a new step: ends, and those by SIGKILL
	steps       uint64
}

// after takes an end and says what follows, and how long to wait before the next
// start.
func (t *trouble) after(e end) (wait time.Duration, v verdict) {
	if e.useful || e.life > healthy {
		t.ends = 0
	}
	if e.useful {
		t.scarce = 0
	}
	if e.useful || e.steps > t.steps || e.life > quiet {
		t.vain, t.kills = 0, 0
	}
	t.steps = e.steps
	if e.manner == process.Killed && !e.scarce {
		if t.kills++; t.kills >= mostKills {
			return 0, hopeless
		}
		return min(firstPause<<(t.kills-1), killPause), again
	}
	t.ends++
	t.vain++
	first, last := firstPause, lastPause
	switch told := e.manner == process.Failed; {
	case e.scarce:
		t.scarce++
		most := mostTold
		if !told {
			first, last, most = scarcePause, lastScarce, mostScarce
		}
		if t.scarce >= most {
			return 0, wanting
		}
	case told && final(e.code), t.vain >= mostVain:
		return 0, hopeless
	}
	return min(first<<min(t.ends-1, 16), last), again
}

// final tells whether a process that reports an exit code would do so again: its
// input is at fault.
func final(code int) bool { return code == exit.Usage || code == exit.Data || code == exit.Verify }

// advance counts the steps that a run had not made before. A step that was lost and is
// made again is none: workers may be lost at the same step for ever.
type advance struct {
	known          bool
	newest, stored uint64
	steps          uint64
}

// note takes what a status shows, and tells whether steps were made and stored since.
func (a *advance) note(step, checkpoint uint64) (stepped, stored bool) {
	newest := max(a.newest, step, checkpoint)
	stepped, stored = a.known && newest > a.newest, a.known && checkpoint > a.stored
	a.known, a.newest, a.stored = true, newest, max(a.stored, checkpoint)
	if stepped {
		a.steps++
	}
	return stepped, stored
}
