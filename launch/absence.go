package launch

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// A worker may hang before it is known to anybody, while it builds its model, or so
// badly that it cannot even say so. Its process runs, and the coordinator does not know
// it.

const (
	// absentFor is how long a worker may take to be ready before that is told.
	absentFor = time.Minute
	// restingFor is how long it may do nothing meanwhile before it counts as hung, where
	// leases are not longer. To load libraries, to build a model and to fetch a state is
	// work.
	restingFor = 30 * time.Second
	// longestLook is the most time that counts between two looks: where it was longer,
	// this process did not run, and others may not have run either.
	longestLook = 2 * time.Second
	// busyPart of a processor is what a process uses at least that does something.
	busyPart = 20
)

// absence is that of a worker whose process runs and which the coordinator does not
// know. It is a value without clock or process.
type absence struct {
	pid    int
	looked time.Time
	last   process.Vitals
	lasts  time.Duration
	idle   time.Duration // of it, without a break
	told   bool
}

// absent is how one is.
type absent struct {
	pid    int
	known  bool // the coordinator knows it, or nobody can say
	vitals process.Vitals
	bound  time.Duration // how long it may do nothing
}

// next says what is due: to tell that it is not ready, or to kill it.
func (a *absence) next(now time.Time, s absent) (tell, kill bool) {
	if s.known || s.pid != a.pid {
		*a = absence{pid: s.pid, looked: now, last: s.vitals}
		return false, false
	}
	since := min(now.Sub(a.looked), longestLook)
	works := (s.vitals.Used-a.last.Used)*busyPart >= now.Sub(a.looked) || s.vitals.Faults > a.last.Faults || s.vitals.State == 'D'
	frozen := s.vitals.State == 'T' // somebody stopped it, and will let it go on
	a.looked, a.last = now, s.vitals
	a.lasts += since
	switch {
	case works:
		a.idle = 0
	case !frozen:
		a.idle += since
	}
	if a.idle >= s.bound {
		*a = absence{pid: a.pid, looked: now, last: s.vitals, told: a.told}
		return false, true
	}
	tell = !a.told && a.lasts >= absentFor
	a.told = a.told || tell
	return tell, false
}

// miss does what the absence of workers asks for. Only a coordinator that has just
// answered can say whom it knows; and a worker waits for the checkpoint service before
// it is ready.
func (c *cluster) miss(answered bool) {
	blind := !answered || !c.steady(wire.RoleCheckpoint)
	bound := max(restingFor, 5*c.Spec.FailureTimeout) // an ID may be taken for as long as a lease
	for _, ch := range c.workers() {
		if ch.finished || !c.alive(ch) {
			continue
		}
		vitals, err := process.VitalsOf(ch.proc.PID)
		if err != nil {
			continue // it has just ended
		}
		_, known := shownIn(c.status, ch)
		tell, kill := ch.absence.next(time.Now(), absent{ch.proc.PID, known || blind, vitals, bound})
		if tell {
			c.say(fmt.Sprintf("%s has been running for %s and is not ready yet; its log is %s", ch.command.Name, absentFor, ch.command.Log))
		}
		if kill {
			c.say(fmt.Sprintf("%s hangs: the coordinator does not know it, and it has done nothing for %s. It is killed and started again; its log is %s",
				ch.command.Name, bound, ch.command.Log))
			if err := ch.proc.Kill(); err != nil {
				c.Log.Warn("kill", zap.Error(err))
			}
		}
	}
}

// steadyAfter is how long a service runs before it counts as one that answers.
const steadyAfter = 10 * time.Second

// steady reports whether the process of a role has been there for a while.
func (c *cluster) steady(role wire.Role) bool {
	for _, ch := range c.children {
		if ch.role == role && c.alive(ch) {
			return time.Since(ch.started) >= steadyAfter
		}
	}
	return false
}
