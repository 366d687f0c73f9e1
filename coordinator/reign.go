package coordinator

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// storeWithin bounds one call of the store.
const storeWithin = 2 * time.Second

// reign is the time in which this coordinator leads.
type reign struct {
	leadership membership.Leadership
	plan       wire.Plan // stored when it began
	intent     wire.Intent
	spec       runspec.Spec // as far as a start may change it
	nonce      string
	workers    <-chan []wire.Registration

	ctx    context.Context // ends with the reign
	cancel context.CancelFunc
	work   sync.WaitGroup
	ended  chan struct{}

	// Of the coordinator's loop.
	unsubscribe func() // from what only a leader hears; nil: it hears nothing
	roster      *roster.Roster
	requests    map[int]*bus.Message // that wait for an answer, by token
	next        int

	orders *queue[order]
}

// order is something to do after what was ordered before: an effect on the store
// or the answer to a request.
type order struct {
	effect  roster.Effect
	request *bus.Message // of a roster.Reply
}

// result is what came of an effect. It counts only while its reign lasts.
type result struct {
	reign *reign
	event roster.Event
	lost  error // another leads
}

func newReign(ctx context.Context, l membership.Leadership) *reign {
	r := &reign{
		leadership: l, nonce: strings.ToLower(rand.Text()[:8]), ended: make(chan struct{}),
		requests: map[int]*bus.Message{}, orders: newQueue[order](),
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// load reads what is stored and begins to watch the registrations. A start of the run
// that came since this process did may have changed what of the spec is not fixed.
func (r *reign) load(store membership.Store, spec runspec.Spec) error {
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	var err error
	if r.plan, _, err = r.leadership.Plan(ctx); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	if r.intent, _, err = r.leadership.Intent(ctx); err != nil {
		return fmt.Errorf("read intent: %w", err)
	}
	r.spec = spec
	if b, found, err := store.Spec(ctx); err != nil {
		return err
	} else if found {
		stored, err := runspec.Decode("of the cluster", b)
		if err != nil {
			return err
		}
		if stored.Hash() != spec.Hash() {
			return errors.New("the run in the store has another spec than this coordinator")
		}
		r.spec = stored
	}
	if r.workers, err = store.WatchWorkers(r.ctx); err != nil {
		return fmt.Errorf("watch workers: %w", err)
	}
	return nil
}

// end returns when nothing of the reign goes on.
func (r *reign) end() {
	r.cancel()
	r.work.Wait()
	close(r.ended)
}

// resign lets another lead at once.
func (r *reign) resign(ctx context.Context, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	if err := r.leadership.Resign(ctx); err != nil {
		log.Debug("resign", zap.Error(err)) // the lease ends by itself
	}
}

// carryOut does what is ordered, one after the other, until the reign ends.
func (r *reign) carryOut(log *zap.Logger, results chan<- result) {
	post := func(v result) {
		v.reign = r
		select {
		case results <- v:
		case <-r.ctx.Done():
		}
	}
	for {
		todo := r.orders.take(r.ctx, 1)
		if len(todo) == 0 {
			break
		}
		event, err := r.do(todo[0], log)
		switch {
		case errors.Is(err, membership.ErrNotLeader):
			post(result{lost: err})
			<-r.ctx.Done() // nothing after it was stored
		case err == nil && event != nil:
			post(result{event: event})
		}
	}
	for _, o := range r.orders.takeNow(1 << 30) {
		if _, ok := o.effect.(roster.Reply); ok {
			respond(o.request, nil, errors.New("this coordinator has just ceased to lead: ask again in a moment"), log)
		}
	}
}

// do returns the event that answers an order, if one does. Its error is
// ErrNotLeader, or that the reign has ended.
func (r *reign) do(o order, log *zap.Logger) (roster.Event, error) {
	switch e := o.effect.(type) {
	case roster.WritePlan:
		return r.storePlan(e.Plan, log)
	case roster.WriteIntent:
		return nil, r.insist(log, "write intent", func(ctx context.Context) error { return r.leadership.PutIntent(ctx, e.Intent) })
	case roster.Evict:
		return nil, r.insist(log, "evict "+e.ID, func(ctx context.Context) error { return r.leadership.Evict(ctx, e.ID, e.Incarnation) })
	case roster.Reply:
		var refusal error
		if e.Error != "" {
			refusal = errors.New(e.Error)
		}
		respond(o.request, nil, refusal, log)
	}
	return nil, nil
}

// storePlan finds out whether a plan is stored or refused, however long that
// takes: an answer of the store may get lost after the plan was written.
func (r *reign) storePlan(p wire.Plan, log *zap.Logger) (roster.Event, error) {
	var event roster.Event
	err := r.insist(log, "write plan", func(ctx context.Context) error {
		err := r.leadership.PutPlan(ctx, p)
		if err == nil {
			event = roster.PlanWritten{}
			return nil
		}
		if !errors.Is(err, membership.ErrConflict) {
			return err
		}
		stored, _, err := r.leadership.Plan(ctx)
		if err != nil {
			return err
		}
		event = roster.PlanRejected{Stored: stored}
		if same(stored, p) {
			event = roster.PlanWritten{}
		}
		return nil
	})
	return event, err
}

// same compares plans by what is stored of them.
func same(a, b wire.Plan) bool {
	x, err := wire.Encode(a)
	y, err2 := wire.Encode(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// insist tries until it succeeds, another leads, or the reign ends.
func (r *reign) insist(log *zap.Logger, what string, try func(ctx context.Context) error) error {
	pause, failing := firstPause, false
	for {
		ctx, cancel := context.WithTimeout(r.ctx, storeWithin)
		err := try(ctx)
		cancel()
		switch {
		case err == nil, errors.Is(err, membership.ErrNotLeader):
			return err
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case !failing:
			failing = true
			log.Warn("the store does not answer: trying again", zap.String("to", what), zap.Error(err))
		}
		sleep(r.ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// respond answers a request. Who gets no answer asks again.
func respond(request *bus.Message, result any, failure error, log *zap.Logger) {
	if err := bus.Respond(request, result, failure); err != nil {
		log.Debug("reply", zap.Error(err))
	}
}
