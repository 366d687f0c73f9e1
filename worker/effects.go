package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
)

// digestEvery is after how many steps members compare their states, and also before the
// last step. A digest reads the state once, at about memory speed.
const digestEvery = 32

// handle passes an event to the machine and performs its effects, including effects whose
// answer comes at once. done says that the worker has finished.
func (w *worker) handle(ctx context.Context, e step.Event) (done bool, err error) {
	if r, ok := e.(step.Reduced); ok {
		w.beat.Reducing = number.Float(r.Took.Seconds())
	}
	following, lineage := w.machine.State() == wire.WorkerFollowing, w.machine.Lineage()
	queue := []step.Event{e}
	for len(queue) > 0 {
		e, queue = queue[0], queue[1:]
		for _, f := range w.machine.Handle(w.now(), e) {
			answer, err := w.perform(ctx, f)
			if errors.Is(err, errFinished) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			if answer != nil {
				queue = append(queue, answer)
			}
		}
	}
	if following != (w.machine.State() == wire.WorkerFollowing) || lineage != w.machine.Lineage() {
		w.publishBeat() // the coordinator waits for this change
	}
	w.meterPhase()
	_, alone := w.machine.FinalSave()
	w.alone.Store(alone)
	return false, nil
}

func (w *worker) perform(ctx context.Context, f step.Effect) (step.Event, error) {
	switch f := f.(type) {
	case step.Digest:
		d, err := replica.Digest(w.replica.State, w.cfg.Cores)
		return step.Digested{Step: w.replica.State.Step, Digest: d}, err
	case step.SendHello:
		return nil, w.publish(w.subjects.Hello(), f.Hello)
	case step.OpenRing:
		w.openRing(ctx, f.Plan, f.Rank)
	case step.CloseRing:
		w.endFetch()
		w.endRing()
	case step.Compute:
		w.jobs <- f // never blocks: there is one job at a time
	case step.Add:
		return nil, w.add(f.Index)
	case step.Reset:
		w.sum.Reset(w.replica.State)
	case step.Reduce:
		if f.Step%digestEvery == 0 || f.Step == w.cfg.Spec.Steps {
			d, err := replica.Digest(w.replica.State, w.cfg.Cores)
			if err != nil {
				return nil, err
			}
			f.Votes.Digest = d
		}
		w.sum.Vote(f.Votes)
		if w.replica.State.OnDevice() {
			if err := w.dog.Guard(sums, w.sum.Gather); err != nil {
				return nil, err
			}
		}
		w.ring.reductions <- reduction{f.Step, w.sum.Entry(), w.replica.Spare}
	case step.Apply:
		return w.updating(func() (step.Event, error) { return w.apply(f.Step) })
	case step.Load:
		return w.updating(func() (step.Event, error) { return w.load(f.Step) })
	case step.FetchEntry, step.FetchPinned, step.FetchSnapshot:
		w.startFetch(ctx, f, w.replica.Spare)
	case step.Save:
		return nil, w.queueSave(f)
	case step.Suspect:
		if f.Suspicion.Subject == "" {
			w.log.Warn("the ring broke", zap.String("evidence", string(f.Suspicion.Evidence)))
		} else {
			w.log.Warn("suspect", zap.String("member", f.Suspicion.Subject), zap.String("evidence", string(f.Suspicion.Evidence)))
		}
		return nil, w.publish(w.subjects.Suspect(), f.Suspicion)
	case step.ReplicaDiffers:
		w.log.Error("this replica differs from the others: taking their state",
			zap.Uint64("step", f.Step), zap.String("mine", f.Mine), zap.String("theirs", f.Theirs))
		return nil, w.publish(w.subjects.Events(), []wire.Event{{
			Key: fmt.Sprintf("divergence/%s/%d", w.reg.Incarnation, f.Step), Kind: wire.EventReplicaDiffers, Generation: w.machine.Generation(),
			Reason: fmt.Sprintf("the replica of worker %s differed after step %d and was replaced by that of the others", w.reg.ID, f.Step),
		}})
	case step.LeftOut:
		return nil, w.rejoin(ctx, f.Reason)
	case step.Finish:
		w.log.Info("done", zap.Uint64("step", f.Step))
		return nil, errFinished
	}
	return nil, nil
}

// add adds the newest gradient to the sum.
func (w *worker) add(index int) error {
	if w.result.job.Index != index {
		return fmt.Errorf("add micro-batch %d: the newest gradient is of %d", index, w.result.job.Index)
	}
	w.speed.Add(w.now(), w.result.took)
	if !w.replica.State.OnDevice() {
		return w.sum.Add(index, w.cfg.Trainer.Gradient(), w.result.measured)
	}
	return w.dog.Guard(sums, func() error { return w.sum.Add(index, nil, w.result.measured) })
}

// apply applies the entry in the spare buffer to the state.
func (w *worker) apply(applied uint64) (step.Event, error) {
	if w.machine.State() == wire.WorkerReducing {
		w.cfg.Meter.Phase(energy.Update, w.machine.Generation(), applied)
	}
	var o replica.Outcome
	var differ bool
	var err error
	w.replica.change(func() {
		o, differ, err = w.replica.ApplyAs(w.machine.State(), w.machine.Plan(), w.applier, w.sum.Entry())
	})
	if err != nil {
		return nil, err
	}
	if !w.replica.State.OnDevice() { // which has changed its own
		if err := w.cfg.Trainer.WeightsChanged(); err != nil {
			return nil, err
		}
	}
	if o.Skipped {
		w.log.Warn("step skipped: a gradient was not finite", zap.Uint64("step", applied))
	}
	now := time.Now()
	if !w.stepAt.IsZero() {
		w.beat.StepSeconds = number.Float(now.Sub(w.stepAt).Seconds())
	}
	w.stepAt = now
	w.beat.MLMLoss, w.beat.NSPLoss = number.Float(o.MLMLoss), number.Float(o.NSPLoss)
	w.beat.Loss = w.beat.MLMLoss + w.beat.NSPLoss
	w.beat.MLMAccuracy, w.beat.NSPAccuracy = number.Float(o.MLMAccuracy), number.Float(o.NSPAccuracy)
	w.beat.LearningRate = number.Float(o.LearningRate)
	w.beat.Tokens, w.beat.Clamped, w.beat.Skipped = o.Tokens, o.Clamped, o.Skipped
	e := step.AppliedOf(applied, o, differ)
	e.Diverged = w.findDivergence()
	w.publishBeat()
	return e, nil
}

// load replaces the state by the snapshot that was fetched.
func (w *worker) load(number uint64) (step.Event, error) {
	f := w.fetched.Swap(nil)
	if f == nil || f.state.Step != number {
		return nil, fmt.Errorf("load snapshot of step %d: it was not fetched", number)
	}
	w.replica.change(func() { w.replica.Load(&f.state) })
	w.stateNumerics = w.planNumerics
	w.log.Info("took the state of a member", zap.Uint64("step", number))
	return step.Loaded{Step: number, Digest: f.digest, Diverged: w.findDivergence()}, w.cfg.Trainer.WeightsChanged()
}

func (w *worker) publish(subject string, v any) error {
	err := bus.Publish(w.cfg.Bus, subject, v)
	if errors.Is(err, bus.ErrBufferFull) {
		w.log.Warn("lost, as NATS is away", zap.String("subject", subject))
		return nil // important messages are repeated
	}
	return err
}

// meterPhase tells the meter the phase of the worker.
func (w *worker) meterPhase() {
	m := w.machine
	phase := energy.Idle
	switch m.State() {
	case wire.WorkerJoining, wire.WorkerHolding:
		phase = energy.Waiting
	case wire.WorkerGreeting, wire.WorkerBroken:
		phase = energy.Recovery
	case wire.WorkerFollowing, wire.WorkerCatchingUp:
		phase = energy.Joining
		if w.rejoining || m.Behind() { // joining again, and retrying a failed attempt, is recovery
			phase = energy.Recovery
		}
	case wire.WorkerComputing:
		phase = energy.Compute
		if m.Recomputing() {
			phase = energy.Recompute
		}
	case wire.WorkerReducing:
		phase = energy.Synchronizing
		if m.Receiving() {
			phase = energy.Communication
		}
	case wire.WorkerStopped:
		phase = energy.Checkpoint
	}
	w.cfg.Meter.Phase(phase, m.Generation(), w.replica.State.Step+1)
}
