// Package upload decides how a worker's slices of the state reach the checkpoint service:
// which are sent, in which order, what a failure means, and when the last one is stored.
//
// It guarantees that slices are sent one at a time, in the order in which they were added,
// and that the last one of a run is sent until its checkpoint is stored or a newer slice
// takes its place. Others may be left out: the next checkpoint comes. It has no lock: the
// caller keeps one.
package upload

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// maxWaiting is how many slices wait; more are left out, except the last.
	maxWaiting = 4
	// maxQuestions is how often the service is asked for the last checkpoint before the
	// slice is sent again: a service that was restarted needs it.
	maxQuestions = 20
)

// Action is what to do next.
type Action interface{ action() }

type (
	// Send sends all chunks of a slice.
	Send struct{ Slice Slice }
	// AskStored asks the service for its newest checkpoint.
	AskStored struct{}
	// Wait waits. Err says what did not succeed, if anything.
	Wait struct {
		For time.Duration
		Err error
	}
	// Stored tells the machine that the checkpoint of a step is stored.
	Stored struct{ Step uint64 }
)

func (Send) action()      {}
func (AskStored) action() {}
func (Wait) action()      {}
func (Stored) action()    {}

// Answer is the result of an action. After a Wait and a Stored it is empty.
type Answer struct {
	Info    wire.SnapshotInfo
	Err     error
	Refused bool // Err is an answer, not the lack of one
}

// state is what the newest action was about.
type state int

const (
	idle    state = iota
	sending       // the slice
	failing       // a pause, after which the slice is sent again
	resting       // a pause, after which the service is asked
	asking
)

// Queue holds the slices of one worker.
type Queue struct {
	failureTimeout, answerTimeout time.Duration

	waiting   []Slice
	current   Slice
	state     state
	questions int
}

// NewQueue returns an empty queue. An answer of the service may take answerTimeout.
func NewQueue(failureTimeout, answerTimeout time.Duration) *Queue {
	return &Queue{failureTimeout: failureTimeout, answerTimeout: answerTimeout}
}

// Accepts reports whether there is room for another slice. There always is for the last one.
func (q *Queue) Accepts(final bool) bool { return final || len(q.waiting) < maxWaiting }

// Add adds a slice.
func (q *Queue) Add(s Slice) { q.waiting = append(q.waiting, s) }

// Next takes the result of the newest action, and returns the next one; nil while there is
// nothing to do.
func (q *Queue) Next(a Answer) Action {
	final, number := q.current.Header.Final, q.current.Header.Step
	switch {
	case q.state == idle:
		return q.begin()
	case q.state == sending && a.Err == nil && !final:
		return q.begin()
	case q.state == sending && a.Err == nil:
		q.questions = 0
		return q.rest()
	case q.state == asking && a.Err == nil && a.Info.Found && a.Info.Step >= number:
		q.state = idle
		return Stored{a.Info.Step}
	case len(q.waiting) > 0:
		return q.begin() // a newer slice takes its place: its members may be others
	case q.state == failing:
		return q.send()
	case q.state == resting:
		q.state = asking
		return AskStored{}
	case q.state == asking && a.Err == nil && q.questions < maxQuestions:
		return q.rest()
	case q.state == asking && a.Err == nil:
		a.Err = fmt.Errorf("the checkpoint of step %d is not stored yet", number)
	case a.Refused && !final:
		q.state = idle // the next checkpoint comes
		return Wait{Err: a.Err}
	}
	q.state = failing
	return Wait{q.failureTimeout / 5, a.Err}
}

// begin takes the next slice.
func (q *Queue) begin() Action {
	q.current, q.state = Slice{}, idle
	if len(q.waiting) == 0 {
		return nil
	}
	q.current, q.waiting = q.waiting[0], q.waiting[1:]
	return q.send()
}

func (q *Queue) send() Action {
	q.state = sending
	return Send{q.current}
}

// rest waits before the service is asked.
func (q *Queue) rest() Action {
	q.state = resting
	q.questions++
	return Wait{For: q.answerTimeout / maxQuestions}
}
