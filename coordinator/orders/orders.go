// Package orders decides how those effects of a roster that need the store are carried out:
// one after the other, each until it is known to be stored or refused. Such an effect is an
// order.
//
// It guarantees that no order is stored before an earlier one is, and that a request is
// answered after the effects that were ordered before it, or not at all. The store decides
// whether it accepts a write: the election guards every write, also when it is tried again.
// The package has no lock: the caller holds one.
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

// Order is an effect on the store, or the answer to a request. It is carried out after all
// earlier orders.
type Order[R any] struct {
	Effect  roster.Effect
	Request R // of a roster.Reply
}

// Queue holds the orders of one term. R is a request that waits for an answer.
type Queue[R any] struct {
	requests []R // by token
	todo     []Order[R]
	busy     bool // the first is under way
	failures int  // of the first
	ended    bool
}

// Request keeps a request until it is answered, and returns its token.
func (q *Queue[R]) Request(r R) (token int) {
	q.requests = append(q.requests, r)
	return len(q.requests) - 1
}

// Add appends the order of an effect. After the end of the term it drops it.
func (q *Queue[R]) Add(f roster.Effect) {
	if q.ended {
		return
	}
	o := Order[R]{Effect: f}
	if reply, ok := f.(roster.Reply); ok {
		var none R
		o.Request, q.requests[reply.Token] = q.requests[reply.Token], none
	}
	q.todo = append(q.todo, o)
}

// Next is the order to carry out now; none while one is under way.
func (q *Queue[R]) Next() (o Order[R], ok bool) {
	if q.busy || q.ended || len(q.todo) == 0 {
		return o, false
	}
	q.busy = true
	return q.todo[0], true
}

// Outcome is the consequence of a try.
type Outcome struct {
	Event roster.Event  // for the roster; may be nil
	Retry time.Duration // the same order is to be tried again after this; 0: it is done
	Lost  bool          // another leads: the term is over
}

// Tried takes the result of the order under way. With a conflict it needs the plan that is
// stored: it may be the same one, if the answer to an earlier try was lost.
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

// same compares plans in their stored form.
func same(a, b wire.Plan) bool {
	x, err := wire.Encode(a)
	y, err2 := wire.Encode(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
