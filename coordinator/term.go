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

// term is the time in which this coordinator leads.
type term struct {
	leadership membership.Leadership
	plan       wire.Plan // stored when it began
	intent     wire.Intent
	spec       runspec.Spec // as the newest start of the run stored it
	nonce      string
	workers    <-chan []wire.Registration

	ctx    context.Context // ends with the term
	cancel context.CancelFunc
	work   sync.WaitGroup
	ended  chan struct{}

	// Of the coordinator's loop.
	unsubscribe func() // from the messages for a leader; nil: not subscribed
	roster      *roster.Roster

	ordering sync.Mutex // of orders
	orders   orders.Queue[*bus.Message]
	ordered  chan struct{} // holds one token where there may be orders
}

// result is the result of an effect. It counts only while its term lasts.
type result struct {
	term  *term
	event roster.Event
	lost  error // another leads
}

func newTerm(ctx context.Context, l membership.Leadership) *term {
	t := &term{
		leadership: l, nonce: strings.ToLower(rand.Text()[:8]), ended: make(chan struct{}),
		ordered: make(chan struct{}, 1),
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}

// load reads the stored plan, intent and spec, and watches the registrations. The run may
// have been started again since this process read its spec, with other values of keys that
// are not fixed.
func (t *term) load(store membership.Store, spec runspec.Spec) error {
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	var err error
	if t.plan, _, err = t.leadership.Plan(ctx); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	if t.intent, _, err = t.leadership.Intent(ctx); err != nil {
		return fmt.Errorf("read intent: %w", err)
	}
	if t.spec, err = runspec.Stored(ctx, store); err != nil {
		return err
	}
	if t.spec.Hash() != spec.Hash() {
		return errors.New("the run in the store has another spec than this coordinator")
	}
	if t.workers, err = store.WatchWorkers(t.ctx); err != nil {
		return fmt.Errorf("watch workers: %w", err)
	}
	return nil
}

// end ends the term, and returns when all of its goroutines have ended.
func (t *term) end() {
	t.cancel()
	t.work.Wait()
	close(t.ended)
}

// resign gives up the leadership, so that another coordinator can lead at once.
func (t *term) resign(ctx context.Context, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	if err := t.leadership.Resign(ctx); err != nil {
		log.Debug("resign", zap.Error(err)) // the lease ends by itself
	}
}

// order adds an effect that the store or a user waits for.
func (t *term) order(f roster.Effect) {
	t.ordering.Lock()
	defer t.ordering.Unlock()
	t.orders.Add(f)
	select {
	case t.ordered <- struct{}{}:
	default:
	}
}

// request keeps a request until the roster answers it.
func (t *term) request(m *bus.Message) (token int) {
	t.ordering.Lock()
	defer t.ordering.Unlock()
	return t.orders.Request(m)
}

// carryOut carries orders out until the term ends.
func (t *term) carryOut(log *zap.Logger, results chan<- result) {
	for t.ctx.Err() == nil {
		t.ordering.Lock()
		o, ok := t.orders.Next()
		t.ordering.Unlock()
		if ok {
			t.do(o, log, results)
			continue
		}
		select {
		case <-t.ordered:
		case <-t.ctx.Done():
		}
	}
	t.ordering.Lock()
	defer t.ordering.Unlock()
	for _, request := range t.orders.End() {
		respond(request, nil, errors.New("this coordinator has just ceased to lead: ask again in a moment"), log)
	}
}

// do carries an order out until its result is known, or the term ends.
func (t *term) do(o orders.Order[*bus.Message], log *zap.Logger, results chan<- result) {
	for failing := false; ; failing = true {
		stored, err := t.try(o, log)
		t.ordering.Lock()
		out := t.orders.Tried(err, stored)
		t.ordering.Unlock()
		switch {
		case out.Lost:
			t.post(results, result{lost: err})
			<-t.ctx.Done()
			return
		case out.Retry == 0:
			if out.Event != nil {
				t.post(results, result{event: out.Event})
			}
			return
		case t.ctx.Err() != nil:
			return
		case !failing:
			log.Warn("the store does not answer: trying again", zap.String("to", fmt.Sprintf("%T", o.Effect)), zap.Error(err))
		}
		waiting.Pause(t.ctx, out.Retry)
	}
}

// try carries an order out once. If a plan conflicts with the stored plan, it returns the
// stored plan.
func (t *term) try(o orders.Order[*bus.Message], log *zap.Logger) (stored wire.Plan, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, storeWithin)
	defer cancel()
	switch e := o.Effect.(type) {
	case roster.WritePlan:
		err = t.leadership.PutPlan(ctx, e.Plan)
		if errors.Is(err, membership.ErrConflict) {
			conflict := err
			if stored, _, err = t.leadership.Plan(ctx); err == nil {
				err = conflict
			}
		}
	case roster.WriteIntent:
		err = t.leadership.PutIntent(ctx, e.Intent)
	case roster.Evict:
		err = t.leadership.Evict(ctx, e.ID, e.Incarnation)
	case roster.Reply:
		var refusal error
		if e.Error != "" {
			refusal = errors.New(e.Error)
		}
		respond(o.Request, nil, refusal, log)
	}
	return stored, err
}

// respond answers a request. A client that gets no answer asks again.
func respond(request *bus.Message, result any, failure error, log *zap.Logger) {
	if err := bus.Respond(request, result, failure); err != nil {
		log.Debug("reply", zap.Error(err))
	}
}
