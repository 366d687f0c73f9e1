package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/orders"
	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/waiting"
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

	ordering sync.Mutex // of orders
	orders   orders.Queue[*bus.Message]
	ordered  chan struct{} // holds one token where there may be orders
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
		requests: map[int]*bus.Message{}, ordered: make(chan struct{}, 1),
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

// order adds to what is to be carried out.
func (r *reign) order(f roster.Effect, request *bus.Message) {
	r.ordering.Lock()
	defer r.ordering.Unlock()
	r.orders.Add(orders.Order[*bus.Message]{Effect: f, Request: request})
	select {
	case r.ordered <- struct{}{}:
	default:
	}
}

// carryOut does what is ordered until the reign ends.
func (r *reign) carryOut(log *zap.Logger, results chan<- result) {
	for r.ctx.Err() == nil {
		r.ordering.Lock()
		o, ok := r.orders.Next()
		r.ordering.Unlock()
		if ok {
			r.do(o, log, results)
			continue
		}
		select {
		case <-r.ordered:
		case <-r.ctx.Done():
		}
	}
	r.ordering.Lock()
	defer r.ordering.Unlock()
	for _, request := range r.orders.End() {
		respond(request, nil, errors.New("this coordinator has just ceased to lead: ask again in a moment"), log)
	}
}

// do carries an order out until it is known what became of it, or the reign ends.
func (r *reign) do(o orders.Order[*bus.Message], log *zap.Logger, results chan<- result) {
	post := func(v result) {
		v.reign = r
		select {
		case results <- v:
		case <-r.ctx.Done():
		}
	}
	for failing := false; ; failing = true {
		stored, err := r.try(o, log)
		r.ordering.Lock()
		out := r.orders.Tried(err, stored)
		r.ordering.Unlock()
		switch {
		case out.Lost:
			post(result{lost: err})
			<-r.ctx.Done()
			return
		case out.Retry == 0:
			if out.Event != nil {
				post(result{event: out.Event})
			}
			return
		case r.ctx.Err() != nil:
			return
		case !failing:
			log.Warn("the store does not answer: trying again", zap.String("to", fmt.Sprintf("%T", o.Effect)), zap.Error(err))
		}
		waiting.Pause(r.ctx, out.Retry)
	}
}

// try carries an order out once. Where a plan conflicts with the one that is stored, it
// returns that.
func (r *reign) try(o orders.Order[*bus.Message], log *zap.Logger) (stored wire.Plan, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, storeWithin)
	defer cancel()
	switch e := o.Effect.(type) {
	case roster.WritePlan:
		err = r.leadership.PutPlan(ctx, e.Plan)
		if errors.Is(err, membership.ErrConflict) {
			conflict := err
			if stored, _, err = r.leadership.Plan(ctx); err == nil {
				err = conflict
			}
		}
	case roster.WriteIntent:
		err = r.leadership.PutIntent(ctx, e.Intent)
	case roster.Evict:
		err = r.leadership.Evict(ctx, e.ID, e.Incarnation)
	case roster.Reply:
		var refusal error
		if e.Error != "" {
			refusal = errors.New(e.Error)
		}
		respond(o.Request, nil, refusal, log)
	}
	return stored, err
}

// respond answers a request. Who gets no answer asks again.
func respond(request *bus.Message, result any, failure error, log *zap.Logger) {
	if err := bus.Respond(request, result, failure); err != nil {
		log.Debug("reply", zap.Error(err))
	}
}
