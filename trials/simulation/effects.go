package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/trials/toy"
	"github.com/gramme-project/gramme/worker/step"
)

// digestEvery is after how many steps members compare their states: more often than
// they do for real.
const digestEvery = 4

// carry does what the machine wants, and returns the answer where it is due at
// once.
func (k *worker) carry(f step.Effect) step.Event {
	switch f := f.(type) {
	case step.Digest:
		return step.Digested{Step: k.State.Step, Digest: k.digest()}
	case step.SendHello:
		k.hello(f.Hello)
	case step.OpenRing:
		k.openRing(f.Plan, f.Rank)
	case step.CloseRing:
		k.endFetch()
		k.endRing()
	case step.Compute:
		k.compute(f)
	case step.Add:
		if k.result.job.Index != f.Index {
			k.w.fail("%s adds micro-batch %d: the gradient at hand is of %d", k.reg.Incarnation, f.Index, k.result.job.Index)
			return nil
		}
		if err := k.sum.Add(f.Index, k.grad, k.result.measured); err != nil {
			k.w.fail("%s: %v", k.reg.Incarnation, err)
		}
	case step.Reset:
		k.reset()
	case step.Reduce:
		if f.Step%digestEvery == 0 {
			f.Votes.Digest = k.digest()
		}
		k.sum.Vote(f.Votes)
		k.ring.reduce(f.Step)
	case step.Apply:
		return k.apply(f.Step)
	case step.Load:
		return k.takeFetched(f.Step)
	case step.FetchPinned:
		if k.w.bug == DonorBehind {
			f.Newer = 0
		}
		k.startFetch(f)
	case step.FetchEntry, step.FetchSnapshot:
		k.startFetch(f)
	case step.Save:
		k.saver.add(f)
	case step.Suspect:
		s := f.Suspicion
		whom := "nobody"
		if s.Incarnation != "" {
			whom = s.Incarnation
		}
		k.w.say("%s suspects %s: %s", k.reg.Incarnation, whom, s.Evidence)
		k.p.publish(topicSuspect, "", s)
	case step.ReplicaDiffers:
		k.w.say("%s differs from the others at step %d", k.reg.Incarnation, f.Step)
		k.w.oracle.diverged(k)
	case step.LeftOut:
		k.outside(f.Reason)
	case step.Finish:
		k.w.oracle.finished(k, f.Step)
		k.exit(nil)
	}
	return nil
}

func (k *worker) digest() string {
	if k.w.bug == NoDigests {
		return "same"
	}
	d, err := replica.Digest(k.State, 1)
	if err != nil {
		k.w.fail("%s: digest: %v", k.id, err)
	}
	return d
}

func (k *worker) hello(h wire.Hello) {
	h.Done = slices.Clone(h.Done)
	switch begun := k.w.oracle.lineages.all; {
	case k.w.bug == ForgetHeld:
		h.Done = nil
	case k.w.bug == ForgetLineage:
		h.Lineage = wire.Lineage{}
	case k.w.bug == InventLineage && h.Lineage.Generation == 0 && len(begun) > 0:
		h.Lineage = begun[len(begun)-1]
	}
	k.p.publish(topicHello, "", h)
}

// compute answers when the gradient is ready. The buffer is of no use meanwhile.
func (k *worker) compute(f step.Compute) {
	k.w.oracle.computes(k, f)
	clear(k.grad)
	took := time.Duration(k.p.slow*k.p.quarters) * k.w.between(k.w.setup.compute/8, k.w.setup.compute*3/8)
	begun := k.w.now
	k.dog.Begin(k.w.time())
	k.p.compute(took, func() {
		k.dog.End(k.w.time())
		if k.State.Step+1 != f.Step {
			k.w.fail("%s computes micro-batch %d of step %d from the weights of step %d", k.reg.Incarnation, f.Index, f.Step, k.State.Step)
			return
		}
		k.result = result{f, toy.Gradient(k.w.rule, k.State.Weights, f.Step, f.Index, k.grad)}
		k.speed.Add(k.w.time(), k.w.now-begun)
		k.post(step.Computed{Step: f.Step, Index: f.Index})
	})
}

func (k *worker) reset() {
	switch {
	case k.w.bug == NoReset && k.machine != nil:
		return
	case k.w.bug == OldExponents && k.State.Step > 0:
		old := k.w.oracle.states[k.State.Step-1].Clone()
		k.sum.Reset(old)
		return
	}
	k.sum.Reset(k.State)
}

// apply makes the entry at hand part of the state.
func (k *worker) apply(number uint64) step.Event {
	if k.w.bug == ApplyTwice && k.machine.State() == wire.WorkerCatchingUp {
		if _, err := k.applier.Apply(k.State, k.Spare); err == nil {
			k.State.Step = number - 1
		}
	}
	o, differ, err := k.ApplyAs(k.machine.State(), k.machine.Plan(), k.applier, k.sum.Entry())
	if err != nil {
		k.w.fail("%s: %v", k.reg.Incarnation, err)
		return nil
	}
	k.w.say("%s applies step %d", k.reg.Incarnation, number)
	k.w.oracle.applied(k, number)
	k.beat()
	return step.AppliedOf(number, o, differ)
}

// takeFetched loads the snapshot that was fetched.
func (k *worker) takeFetched(number uint64) step.Event {
	f := k.fetched
	k.fetched = nil
	if f == nil || f.state.Step != number {
		k.w.fail("%s loads the state of step %d: it is not at hand", k.reg.Incarnation, number)
		return nil
	}
	k.Load(&f.state)
	k.trained = k.trained && !f.stored
	k.w.say("%s takes the state of step %d", k.reg.Incarnation, number)
	k.w.oracle.loaded(k)
	return step.Loaded{Step: number, Digest: k.digest()}
}

// outside registers again after a plan left this worker out, unless it was asked
// to leave.
func (k *worker) outside(reason string) {
	k.w.say("%s is left out", k.reg.Incarnation)
	k.trained = false
	if k.reg.Draining {
		k.exit(errDrained)
		return
	}
	unblock := k.loop.block()
	k.lease.close(func(error) {
		k.register(func(err error) {
			if err != nil {
				k.exit(fmt.Errorf("join again after %q: %w", reason, err))
				return
			}
			k.machine.SetIncarnation(k.reg.Incarnation)
			unblock()
		})
	})
}

// beat says how this worker is.
func (k *worker) beat() {
	b, now := k.newestBeat(), k.w.time()
	b.Deaf = k.echoes.Sent(now, k.p.conn.up)
	b.Sent, b.Patience = now.UnixNano(), number.Float(k.echoes.Patience(now).Seconds())
	k.p.publish(topicBeat, "", b)
}

func (k *worker) newestBeat() wire.Beat {
	m := k.machine
	return wire.Beat{
		ID: k.id, Incarnation: k.reg.Incarnation, State: m.State(), Generation: m.Generation(), Rank: m.Rank(),
		Step: k.State.Step, Lineage: m.Lineage(), Speed: number.Float(k.speed.Speed()), Tokens: 1, Behind: m.Behind(),
	}
}
