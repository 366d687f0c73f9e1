package supervisor

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// A worker may hang before anybody knows it, while it builds its model, or so badly that
// it cannot even say so. Its process runs, and the coordinator does not know it.

const (
	// toldAfter is how long a worker may take to be ready before that is told.
	toldAfter = time.Minute
	// hungAfter is how long it may do nothing meanwhile before it counts as hung, where
	// leases are not longer. To load libraries, to build a model and to fetch a state is
	// work.
	hungAfter = 30 * time.Second
	// longestLook is the most time that counts between two looks: where it was longer,
	// this process did not run, and others may not have run either.
	longestLook = 2 * time.Second
	// busyPart of a processor is what a process uses at least that does something.
	busyPart = 20
)

// readiness follows a worker whose process runs and which the coordinator does not know.
// It is a value without clock or process.
type readiness struct {
	pid    int
	looked time.Time
	last   Vitals
	lasts  time.Duration
	idle   time.Duration // of it, without a break
	told   bool
}

// sample is how such a worker is at one look.
type sample struct {
	pid    int
	known  bool // the coordinator knows it, or nobody can say
	vitals Vitals
	bound  time.Duration // how long it may do nothing
}

// next says what is due: to tell that it is not ready, or to kill it.
func (r *readiness) next(now time.Time, s sample) (tell, kill bool) {
	if s.known || s.pid != r.pid {
		*r = readiness{pid: s.pid, looked: now, last: s.vitals}
		return false, false
	}
	since := min(now.Sub(r.looked), longestLook)
	works := (s.vitals.Used-r.last.Used)*busyPart >= now.Sub(r.looked) || s.vitals.Faults > r.last.Faults || s.vitals.State == 'D'
	frozen := s.vitals.State == 'T' // somebody stopped it, and will let it go on
	r.looked, r.last = now, s.vitals
	r.lasts += since
	switch {
	case works:
		r.idle = 0
	case !frozen:
		r.idle += since
	}
	if r.idle >= s.bound {
		*r = readiness{pid: r.pid, looked: now, last: s.vitals, told: r.told}
		return false, true
	}
	tell = !r.told && r.lasts >= toldAfter
	r.told = r.told || tell
	return tell, false
}

// look asks for the status, and for the vitals of workers that the newest one does not
// show.
func (s *Supervisor) look() {
	var unknown []string
	for _, ch := range s.workers() {
		if _, known := shownIn(s.status, ch); ch.alive && !ch.finished && !known {
			unknown = append(unknown, ch.id)
		}
	}
	s.emit(Look{unknown})
}

// killHung kills workers that hang before the coordinator knows them. Only a coordinator
// that has just answered can say which it knows; and a worker waits for the checkpoint
// service before it is ready.
func (s *Supervisor) killHung(e Looked) {
	blind := e.Status == nil || !s.steady(wire.IDCheckpoint)
	bound := max(hungAfter, 5*s.cfg.FailureTimeout) // an ID may be taken for as long as a lease
	for _, ch := range s.workers() {
		_, known := shownIn(s.status, ch)
		vitals, read := e.Vitals[ch.id]
		if known = known || blind; ch.finished || !ch.alive || !known && !read {
			continue
		}
		tell, kill := ch.readiness.next(s.now, sample{ch.pid, known, vitals, bound})
		if tell {
			s.tell("%s has been running for %s and is not ready yet; its log is %s", ch.name(), toldAfter, s.cfg.Log(ch.id))
		}
		if kill {
			s.tell("%s hangs: the coordinator does not know it, and it has done nothing for %s. It is killed and started again; its log is %s",
				ch.name(), bound, s.cfg.Log(ch.id))
			s.emit(Kill{ch.id})
		}
	}
}

// steadyAfter is how long a service runs before it counts as one that answers.
const steadyAfter = 10 * time.Second

// steady reports whether a service has been running for a while.
func (s *Supervisor) steady(id string) bool {
	ch := s.find(id)
	return ch.alive && s.now.Sub(ch.started) >= steadyAfter
}

// answerWithin bounds how long a run goes on in which no coordinator has ever answered.
// It is long: a machine may have much else to do.
const answerWithin = 5 * time.Minute

// awaitCoordinator gives up where none has ever answered. After the first answer there is
// nothing more to wait for: training goes on without a coordinator.
func (s *Supervisor) awaitCoordinator() error {
	waits := s.now.Sub(s.firstLook)
	if s.answered || s.cause != nil || waits < waiting.Patience {
		return nil
	}
	if !s.waitTold {
		s.waitTold = true
		s.tell("waiting for the coordinator to answer, at most %s", answerWithin)
	}
	if waits < answerWithin {
		return nil
	}
	return exit.Wrap(exit.Failure, "its log is "+s.cfg.Log(wire.IDCoordinator), fmt.Errorf("no coordinator has answered within %s", answerWithin))
}
