package simulation

import (
	"errors"
	"reflect"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// order is something to do after what was ordered before.
type order struct {
	effect  roster.Effect
	request envelope // of a roster.Reply
}

// storeWithin bounds one call of the store.
const storeWithin = 2 * time.Second

func (r *reign) order(o order) {
	r.orders = append(r.orders, o)
	r.work()
}

// work does what is ordered, one after the other, until the reign ends.
func (r *reign) work() {
	if r.busy || r.over || len(r.orders) == 0 {
		return
	}
	o := r.orders[0]
	r.orders, r.busy = r.orders[1:], true
	done := func(e roster.Event) {
		r.busy = false
		if e != nil && !r.over {
			r.c.feed(e)
		}
		r.work()
	}
	s := r.c.w.store
	switch f := o.effect.(type) {
	case roster.WritePlan:
		r.storePlan(f.Plan, done)
	case roster.WriteIntent:
		r.insist(func() error { return s.putIntent(r.term, f.Intent) }, func(error) { done(nil) })
	case roster.Evict:
		r.insist(func() error { return s.evict(r.term, f.ID, f.Incarnation) }, func(error) { done(nil) })
	case roster.Reply:
		var err error
		if f.Error != "" {
			err = errors.New(f.Error)
		}
		r.c.p.answer(o.request, nil, err)
		done(nil)
	}
}

// storePlan finds out whether a plan is stored or refused, however long that
// takes: an answer of the store may get lost after the plan was written.
func (r *reign) storePlan(p wire.Plan, done func(e roster.Event)) {
	var stored wire.Plan
	s := r.c.w.store
	r.insist(func() error {
		stored = s.plan
		err := s.putPlan(r.term, p)
		if errors.Is(err, membership.ErrConflict) {
			return nil
		}
		if err == nil {
			stored = p
		}
		return err
	}, func(error) {
		if reflect.DeepEqual(stored, p) {
			done(roster.PlanWritten{})
		} else {
			done(roster.PlanRejected{Stored: stored})
		}
	})
}

// insist tries until it succeeds, another leads, or the reign ends.
func (r *reign) insist(try func() error, done func(err error)) {
	s, pause := r.c.w.store, 50*time.Millisecond
	var again func()
	again = func() {
		if r.over {
			return
		}
		s.call(r.c.p, storeWithin, try, func(err error) {
			switch {
			case r.over:
			case errors.Is(err, membership.ErrNotLeader):
				r.c.depose(err.Error())
			case err != nil:
				r.c.p.after(pause, again)
				pause = min(2*pause, time.Second)
			default:
				done(nil)
			}
		})
	}
	again()
}
