package simulation

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/coordinator/orders"
	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/wire"
)

// storeWithin bounds one call of the store.
const storeWithin = 2 * time.Second

func (r *term) order(f roster.Effect) {
	if _, plan := f.(roster.WritePlan); plan && r.forgets {
		r.forgets = false
		return
	}
	r.orders.Add(f)
	r.work()
}

// work carries out what is ordered, until the term ends.
func (r *term) work() {
	if o, ok := r.orders.Next(); ok && !r.over {
		r.try(o)
	}
}

// try carries an order out, again and again until it is known what became of it.
func (r *term) try(o orders.Order[envelope]) {
	if f, ok := o.Effect.(roster.Reply); ok {
		var err error
		if f.Error != "" {
			err = errors.New(f.Error)
		}
		r.c.p.answer(o.Request, nil, err)
		r.tried(o, nil, wire.Plan{})
		return
	}
	var stored wire.Plan
	s := r.c.w.store
	s.call(r.c.p, storeWithin, func() error {
		stored = s.plan
		switch f := o.Effect.(type) {
		case roster.WritePlan:
			err := s.putPlan(r.candidacy, f.Plan)
			if err != nil && r.c.w.bug == RetryWithoutFence {
				s.write(f.Plan)
				return nil
			}
			return err
		case roster.WriteIntent:
			return s.putIntent(r.candidacy, f.Intent)
		case roster.Evict:
			return s.evict(r.candidacy, f.ID, f.Incarnation)
		}
		return nil
	}, func(err error) { r.tried(o, err, stored) })
}

func (r *term) tried(o orders.Order[envelope], err error, stored wire.Plan) {
	if r.over {
		return
	}
	switch out := r.orders.Tried(err, stored); {
	case out.Lost:
		r.c.depose(err.Error())
	case out.Retry > 0:
		r.c.p.after(out.Retry, func() {
			if !r.over {
				r.try(o)
			}
		})
	default:
		if out.Event != nil {
			r.c.feed(out.Event)
		}
		r.work()
	}
}
