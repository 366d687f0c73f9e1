package simulation

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/worker/fetch"
	"github.com/gramme-project/gramme/worker/step"
)

// How a worker comes to take part.

// resume loads the newest checkpoint, if there is one.
func (k *worker) resume() {
	k.runFetch(fetch.NewResume(failureTimeout), func(got *fetched, end fetch.End) {
		if end.Err != nil {
			k.exit(end.Err)
			return
		}
		if got != nil {
			k.Load(&got.state)
		}
		k.begin()
	})
}

// begin makes the worker known and begins the loop.
func (k *worker) begin() {
	k.sum.Reset(k.State)
	k.w.oracle.began(k)
	if k.id == k.w.corrupts {
		k.w.corrupts = ""
		k.w.say("a bit of the state of %s is flipped", k.id)
		k.State.Weights[3], k.corrupted = -k.State.Weights[3], true
	}
	for _, t := range []topic{topicEntry, topicSnapshot, topicInfo, topicPin} {
		k.p.listen(t, k.id)
	}
	k.p.listen(topicHello, "")
	k.p.listen(topicCommitted, "")
	k.register(func(err error) {
		if err != nil {
			k.exit(err)
			return
		}
		k.w.store.call(k.p, 5*time.Second, func() error { return nil }, func(err error) {
			if err != nil {
				k.exit(fmt.Errorf("watch plan: %w", err))
				return
			}
			k.watch()
		})
	})
}

// register registers the worker under a new incarnation.
func (k *worker) register(done func(err error)) {
	k.registering++
	k.reg.Incarnation = fmt.Sprintf("%s.%d.%d", k.id, k.p.pid, k.registering)
	k.reg.Step, k.reg.Speed = k.State.Step, number.Float(k.speed.Speed())
	attempts := step.NewRegistering(leaseTTL, failureTimeout)
	var try func()
	again := func(after time.Duration) {
		if k.drained && k.machine == nil {
			k.exit(errDrained)
			return
		}
		k.p.after(after, try)
	}
	try = func() {
		k.w.store.register(k.p, k.reg, leaseTTL, func(l *lease, err error) {
			if err == nil {
				k.lease = l
				l.onLost = func() { k.loop.do(k.unregistered) }
				k.w.say("%s is registered with step %d", k.reg.Incarnation, k.State.Step)
				done(nil)
				return
			}
			switch attempts.Failed(k.w.time(), err) {
			case step.TryAgain:
				again(registerPause)
			case step.ListenForHeartbeat: // no two workers have one ID here
				again(failureTimeout/2 + registerPause)
			case step.GiveUp:
				done(fmt.Errorf("register: %w", err))
			}
		})
	}
	try()
}

// leaseTTL is how long a worker that vanished stays registered, and registerPause is the
// pause before another attempt to write to the store.
const (
	leaseTTL      = 5 * time.Second
	registerPause = failureTimeout / 4
)

// announce writes the registration until the store has it or does not need it any more.
func (k *worker) announce(then func()) {
	incarnation, lease := k.reg.Incarnation, k.lease
	var try func()
	try = func() {
		if k.reg.Incarnation != incarnation { // it registered again, with the newest registration
			then()
			return
		}
		lease.update(k.reg, func(err error) {
			if step.Settled(err) {
				then()
				return
			}
			k.p.after(registerPause, try)
		})
	}
	try()
}

// watch begins the loop.
func (k *worker) watch() {
	k.machine = step.New(step.Config{
		ID: k.id, Incarnation: k.reg.Incarnation, Steps: k.w.rule.Steps,
		FailureTimeout: failureTimeout, SaveEvery: k.w.setup.saveEvery,
	}, k.w.time(), k.State.Step)
	k.w.store.watch(k.p, watchPlan, func() {
		k.plan, k.unread = k.w.store.plan, true
		k.loop.do(func() {
			if k.unread {
				k.unread = false
				k.w.say("%s sees plan %d, rank %d", k.reg.Incarnation, k.plan.Generation, k.plan.Rank(k.id, k.reg.Incarnation))
				k.loop.handle(step.PlanChanged{Plan: k.plan})
			}
		})
	})
	k.w.store.watch(k.p, watchIntent, func() {
		k.intent = k.w.store.intent
		k.loop.do(func() { k.wanted(k.intent) })
	})
	k.beat()
	k.p.every(step.HeartbeatInterval(failureTimeout), k.loop.tick)
	if k.drained {
		k.sigterm()
	}
	k.loop.run()
}

// unregistered joins again, unless it is a member: a member learns it from the plan that
// leaves it out.
func (k *worker) unregistered() {
	if k.lease.lost && k.machine.Rank() < 0 && k.w.bug != IgnoreEviction {
		k.outside("the registration is gone")
	}
}
