// Package fetch decides how a worker fetches states and entries: which workers it asks, which
// answers count, when it asks again, and when it gives up. Pieces divides a fetch among the
// sources.
//
// It guarantees that a state comes only from donors that named the requested step and digest,
// and that a worker which follows the members never goes back to a step that it has passed.
// It does not verify the data: the caller does, when it carries out GetState. It has no lock:
// one goroutine owns each value.
package fetch

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// Action is what to do next.
type Action interface{ action() }

type (
	// AskInfo asks a donor which state it can give.
	AskInfo struct{ Donor string }
	// AskPin asks a member to pin its state after a step; 0 is its newest.
	AskPin struct {
		Member string
		Step   uint64
	}
	// GetEntry gets the entry of a step from members.
	GetEntry struct {
		From []string
		Step uint64
	}
	// GetState gets a state from donors that all hold it, and verifies it.
	GetState struct {
		From []string
		Info wire.SnapshotInfo
	}
	// Wait waits, after it has passed the event to the machine, if there is one. Err says
	// why the same is tried again.
	Wait struct {
		For   time.Duration
		Event step.Event
		Err   error
	}
	// End ends the fetch. The event, if there is one, is for the machine.
	End struct {
		Event step.Event
		Err   error
	}
)

func (AskInfo) action()  {}
func (AskPin) action()   {}
func (GetEntry) action() {}
func (GetState) action() {}
func (Wait) action()     {}
func (End) action()      {}

// Answer is the result of an action. After a Wait it is empty.
type Answer struct {
	Info    wire.SnapshotInfo
	Err     error
	Refused bool // Err is an answer, not the lack of one
	Later   bool // of GetEntry: a member says that the entry has yet to come
}

// Fetch is one fetch.
type Fetch struct {
	timeout time.Duration // after which a silent worker counts as failed
	first   func() Action
	next    func(now time.Time, a Answer) Action
}

// New returns the fetch that an effect asks for; nil is that of no fetch.
func New(f step.Effect, failureTimeout time.Duration) *Fetch {
	fetch := &Fetch{timeout: failureTimeout}
	switch f := f.(type) {
	case step.FetchEntry:
		e := &entry{Fetch: fetch, FetchEntry: f}
		fetch.first = e.get
	case step.FetchSnapshot:
		s := &snapshot{Fetch: fetch, FetchSnapshot: f}
		fetch.first = s.ask
	case step.FetchPinned:
		p := &pinned{Fetch: fetch, FetchPinned: f}
		fetch.first = p.askFirst
	default:
		return nil
	}
	return fetch
}

// Start begins the fetch.
func (f *Fetch) Start() Action { return f.first() }

// Answered takes the result of the newest action, and returns the next one.
func (f *Fetch) Answered(now time.Time, a Answer) Action { return f.next(now, a) }

// do returns an action, and keeps what follows from its result.
func (f *Fetch) do(a Action, next func(now time.Time, a Answer) Action) Action {
	f.next = next
	return a
}

// wait waits, then goes on.
func (f *Fetch) wait(w Wait, next func() Action) Action {
	return f.do(w, func(time.Time, Answer) Action { return next() })
}

// fail ends the fetch of a member after a short pause, since the state machine tries again
// at once. A worker that follows does not, and needs no pause.
func (f *Fetch) fail(generation uint64, err error) Action {
	return f.wait(Wait{For: f.timeout / 10}, func() Action { return failed(generation, err) })
}

func failed(generation uint64, err error) End {
	return End{step.FetchFailed{Generation: generation, Reason: err.Error()}, err}
}
