package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// ErrKilled is the cause of a run that was told to end at once.
var ErrKilled = errors.New("ended at once")

// lookEvery is how often the status is asked for.
const lookEvery = 500 * time.Millisecond

// Config says what is supervised.
type Config struct {
	Workers        int    // that are started at first
	Min            int    // fewest workers with which the run may go on
	Steps          uint64 // after which the run is done
	FailureTimeout time.Duration
	Shared         bool                   // others run etcd and NATS
	LastCall       bool                   // there is one for a run that is done
	Log            func(id string) string // names the log file of a process
	// Straggle is how long workers may take to end after the run is done; 0: 30 s.
	Straggle time.Duration
}

// Supervisor is the supervision of one run. One goroutine owns it.
type Supervisor struct {
	cfg      Config
	now      time.Time
	out      []Effect
	children []*child // the checkpoint service, the coordinator, then the workers

	phase   phase
	service *child    // that is about to end
	bound   time.Time // of the phase; zero: none
	tellAt  time.Time // when it is told that the phase takes its time; zero: not any more
	lookAt  time.Time
	cause   error // why the run ends before its time; nil: it does not
	last    error // what came of the last call

	stop       stop
	deposed    bool   // another process has the run: only what this one started ends
	scales     uint64 // newest scale that was acted on
	scaleTo    int    // workers that it asks for, until the next look; 0: done
	status     wire.Status
	limits     cgroup.Limits
	answered   bool      // a coordinator has answered
	firstLook  time.Time // since when one is waited for
	waitTold   bool      // it was told
	progress   progress
	progressAt time.Time // when the status last showed any progress
	doneAt     time.Time // when it first showed that the run is done
	pressure   pressure
	oom        oomKills
	refused    map[string]int // process of each worker of which it was told that it is refused
	warned     bool           // the status of the run shows warnings
}

// New returns the supervisor of a run of which nothing is started yet.
func New(cfg Config) *Supervisor {
	s := &Supervisor{cfg: cfg, refused: map[string]int{}}
	s.children = []*child{{id: wire.IDCheckpoint, role: wire.RoleCheckpoint}, {id: wire.IDCoordinator, role: wire.RoleCoordinator}}
	for range cfg.Workers {
		s.addWorker()
	}
	for _, ch := range s.children {
		ch.first = true
	}
	return s
}

// Step takes an event and returns what is to be done, in this order. Answers to the
// effects are the next events.
func (s *Supervisor) Step(now time.Time, e Event) []Effect {
	if s.phase == ended {
		return nil
	}
	s.now, s.out = now, nil
	switch e := e.(type) {
	case Begin:
		s.begin(e)
	case Started:
		s.onStarted(e)
	case NotStarted:
		s.onNotStarted(e)
	case Ended:
		s.onEnded(e)
	case Looked:
		s.onLooked(e)
	case Wanted:
		s.onWanted(e)
	case StopAsked:
		s.onStopAsked()
	case StopAnswered:
		s.stop.accepted = e.Err == nil
	case KillAsked:
		s.fail(ErrKilled)
	case ServicesFailed:
		s.deposed = s.cfg.Shared // another has the run now, and may go on with it
		s.fail(exit.Wrap(exit.Resource, exit.Hint(e.Err), e.Err))
	case Done:
		s.onDone(e)
	case Tick:
	}
	s.passTime()
	if s.supervises() && !slices.ContainsFunc(s.workers(), func(ch *child) bool { return !ch.finished }) {
		s.enter(lastStatus)
		s.emit(Do{Job: LastStatus})
	}
	return s.out
}

// Next is when the next Tick is due; zero: other events come first.
func (s *Supervisor) Next() (next time.Time) {
	times := []time.Time{s.bound, s.tellAt}
	if s.supervises() {
		times = append(times, s.lookAt)
	}
	for _, ch := range s.children {
		times = append(times, ch.due)
	}
	for _, t := range times {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// due reports whether a time has come.
func (s *Supervisor) due(t time.Time) bool { return !t.IsZero() && !s.now.Before(t) }

// passTime does what has become due.
func (s *Supervisor) passTime() {
	for _, ch := range s.children {
		if s.phase == ended || !s.due(ch.due) {
			continue
		}
		if ch.due = (time.Time{}); ch.role == wire.RoleWorker && !s.stop.signaled.IsZero() {
			ch.finished = true
			continue
		}
		s.emit(Start{ch.id, ch.role})
	}
	if s.supervises() && s.due(s.lookAt) {
		s.lookAt = s.now.Add(lookEvery)
		s.look()
	}
	s.passPhase()
}

func (s *Supervisor) begin(e Begin) {
	s.limits, s.oom.seen = e.Limits, e.Limits.OOMKills
	s.phase, s.progressAt, s.lookAt = training, s.now, s.now.Add(lookEvery)
	s.firstLook = s.lookAt
	for _, ch := range s.children {
		s.emit(Start{ch.id, ch.role})
	}
}

func (s *Supervisor) emit(f Effect) { s.out = append(s.out, f) }

func (s *Supervisor) tell(format string, args ...any) { s.emit(Tell{fmt.Sprintf(format, args...)}) }

// find returns the child of an ID, nil where there is none.
func (s *Supervisor) find(id string) *child {
	i := slices.IndexFunc(s.children, func(ch *child) bool { return ch.id == id })
	if i < 0 {
		return nil
	}
	return s.children[i]
}

func (s *Supervisor) workers() []*child { return s.children[2:] }

// addWorker adds one of a name that no other has.
func (s *Supervisor) addWorker() *child {
	ch := &child{id: fmt.Sprintf("w%d", len(s.children)-1), role: wire.RoleWorker}
	s.children = append(s.children, ch)
	return ch
}
