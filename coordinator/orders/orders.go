// Package orders decides how the effects of a roster are carried out that need the
// store: one after the other, each until it is known to be stored or refused.
//
// It guarantees that nothing is stored after an order that is not, and that a request
// is answered after the effects that were ordered before it, or not at all. Whether
// the store takes a write is the store's to say: every write is guarded by the
// election, also when it is tried again. It has no lock: the caller keeps one.
package orders

import (
	"bytes"
	"errors"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// Backoff is how long to wait between the tries of one order.
var Backoff = waiting.Backoff{First: 50 * time.Millisecond, Longest: time.Second}

// Order is something to do after what was ordered before: an effect on the store, or
// the answer to a request.
type Order[R any] struct {
	Effect  roster.Effect
	Request R // of a roster.Reply
}

// Queue holds the orders of one term. R is a request that waits for an answer.
type Queue[R any] struct {
	todo     []Order[R]
	busy     bool // the first is under way
	failures int  // of the first
	ended    bool
}

// Add orders something. After the end of the term nothing is taken.
func (q *Queue[R]) Add(o Order[R]) {
	if !q.ended {
		q.todo = append(q.todo, o)
	}
}

// Next is the order to carry out now; none while one is under way.
func (q *Queue[R]) Next() (o Order[R], ok bool) {
	if q.busy || q.ended || len(q.todo) == 0 {
		return o, false
	}
	q.busy = true
	return q.todo[0], true
}

// Outcome is what follows from a try.
type Outcome struct {
	Event roster.Event  // for the roster; may be nil
	Retry time.Duration // the same order is to be tried again after this; 0: it is done
	Lost  bool          // another leads: the term is over
}

// Tried takes what came of the order under way. A plan that conflicts needs the plan
// that is stored instead: the answer to a write may get lost after it was stored.
func (q *Queue[R]) Tried(err error, stored wire.Plan) Outcome {
	if !q.busy || q.ended {
		return Outcome{}
	}
	write, plan := q.todo[0].Effect.(roster.WritePlan)
	var out Outcome
	switch {
	case errors.Is(err, membership.ErrNotLeader):
		return Outcome{Lost: true} // nothing after it is stored
	case plan && errors.Is(err, membership.ErrConflict) && !same(stored, write.Plan):
		out.Event = roster.PlanRejected{Stored: stored}
	case plan && (err == nil || errors.Is(err, membership.ErrConflict)):
		out.Event = roster.PlanWritten{}
	case err != nil:
		q.failures++
		return Outcome{Retry: Backoff.After(q.failures)}
	}
	q.todo, q.busy, q.failures = q.todo[1:], false, 0
	return out
}

// End ends the term, and returns the requests that are not answered.
func (q *Queue[R]) End() (unanswered []R) {
	for _, o := range q.todo {
		if _, ok := o.Effect.(roster.Reply); ok {
			unanswered = append(unanswered, o.Request)
		}
	}
	q.todo, q.ended = nil, true
	return unanswered
}

// same compares plans by what is stored of them.
func same(a, b wire.Plan) bool {
	x, err := wire.Encode(a)
	y, err2 := wire.Encode(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
