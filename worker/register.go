package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// How a worker becomes known, and how it leaves. While the store is out of reach it
// goes on trying: nothing of it ends a worker that could train.

// resumeTries bounds how often the newest checkpoint is asked for at the start: a
// newer one may take its place meanwhile.
const resumeTries = 10

// resume brings the newest checkpoint, if there is one, or the initial weights
// that the trainer holds.
func (w *worker) resume(ctx context.Context) error {
	w.cfg.Meter.Phase(energy.Joining, 0, 0)
	for try := 1; ; try++ {
		err := w.resumeOnce(ctx)
		if err == nil {
			break
		}
		if try == resumeTries || ctx.Err() != nil {
			return err
		}
		w.log.Warn("resume", zap.Error(err))
		rest(ctx, w.cfg.Spec.FailureTimeout/4)
	}
	_, err := w.updating(func() (step.Event, error) { return nil, w.cfg.Trainer.WeightsChanged() })
	w.sum.Reset(w.replica.State)
	return err
}

// unlessDrained does what a worker cannot begin without, as long as nobody asks it to
// leave.
func (w *worker) unlessDrained(ctx context.Context, do func(context.Context) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() { // ends with ctx
		select {
		case <-w.cfg.Drain:
			end(ErrDrained)
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	if errors.Is(context.Cause(ctx), ErrDrained) {
		return ErrDrained
	}
	return err
}

func (w *worker) resumeOnce(ctx context.Context) error {
	info, err := w.snapshotInfo(ctx, wire.IDCheckpoint)
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	if !info.Found {
		return nil
	}
	got, err := w.fetchSnapshot(ctx, []string{wire.IDCheckpoint}, info)
	if err != nil {
		return fmt.Errorf("fetch checkpoint of step %d: %w", info.Step, err)
	}
	w.replica.change(func() { w.replica.Load(&got.state) })
	w.state = info.Numerics
	w.log.Info("resumed from checkpoint", zap.Uint64("step", info.Step))
	return nil
}

// newIncarnation names a start of this worker, or a new beginning after it was
// thrown out.
func newIncarnation() string { return strings.ToLower(rand.Text()[:10]) }

// register makes the worker known. Where another holds its ID and is heard, it
// fails; one that is not heard may have ended, and keeps the ID until its lease does.
func (w *worker) register(ctx context.Context) error {
	w.reg.Incarnation, w.reg.Mailbox = newIncarnation(), w.cfg.Links.URL()
	w.reg.Step, w.reg.Speed, w.reg.Origin = w.replica.step(), number.Float(w.pace.Speed()), w.state
	w.reg.Started = time.Now().UTC()
	ttl := w.cfg.lease()
	var begun time.Time // when the ID was first found taken: the store may have been away before
	for {
		within, cancel := context.WithTimeout(ctx, ttl)
		lease, err := w.cfg.Store.Register(within, w.reg, ttl)
		cancel()
		if err == nil {
			w.lease = lease
			if err := w.probeRoutes(ctx); err != nil {
				return err
			}
			w.log.Info("registered", zap.String("worker", w.reg.ID), zap.String("incarnation", w.reg.Incarnation), zap.Uint64("step", w.reg.Step))
			return nil
		}
		taken := errors.Is(err, membership.ErrTaken)
		if taken && begun.IsZero() {
			begun = time.Now()
		}
		if ctx.Err() != nil || taken && (time.Since(begun) > ttl+w.cfg.Spec.FailureTimeout || w.another(ctx)) {
			return fmt.Errorf("register worker %s: %w", w.reg.ID, err)
		}
		w.log.Warn("register: trying again", zap.Error(err))
		select {
		case <-w.cfg.Drain:
			return ErrDrained
		case <-time.After(w.cfg.Spec.FailureTimeout / 4):
		case <-ctx.Done():
		}
	}
}

// another reports whether heartbeats of this ID are heard.
func (w *worker) another(ctx context.Context) bool {
	heard, stop, err := bus.Channel(w.cfg.Bus, 1, "", w.subjects.Beat(w.reg.ID))
	if err != nil {
		return false
	}
	defer stop()
	within, cancel := context.WithTimeout(ctx, w.cfg.Spec.FailureTimeout/2)
	defer cancel()
	select {
	case <-heard:
		return true
	case <-within.Done():
		return false
	}
}

// insist asks the store until it answers, or ctx ends.
func insist[T any](ctx context.Context, w *worker, what string, ask func() (T, error)) (T, error) {
	for {
		v, err := ask()
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, fmt.Errorf("%s: %w", what, err)
		}
		w.log.Warn(what+": trying again", zap.Error(err))
		select {
		case <-w.cfg.Drain:
			return v, ErrDrained
		case <-time.After(w.cfg.Spec.FailureTimeout / 4):
		case <-ctx.Done():
		}
	}
}

// announce writes the registration in the background until the store has it, or has
// no use for it any more, and calls then.
func (w *worker) announce(ctx context.Context, what string, then func()) {
	reg, lease := w.reg, w.lease
	w.announced.Store(&reg)
	w.group.Go(func() error {
		w.announcing.Lock()
		defer w.announcing.Unlock()
		for ctx.Err() == nil {
			newest := w.announced.Load() // an older one may have had to wait
			if newest.Incarnation != reg.Incarnation {
				break // it joined again, with what there was to say
			}
			within, cancel := context.WithTimeout(ctx, w.cfg.lease())
			err := lease.Update(within, *newest)
			cancel()
			if err == nil || errors.Is(err, membership.ErrLost) || errors.Is(err, membership.ErrTaken) {
				break // or a plan without it is on its way
			}
			w.log.Warn(what+": trying again", zap.Error(err))
			rest(ctx, w.cfg.Spec.FailureTimeout/4)
		}
		then()
		return nil
	})
}

// leave announces the drain, then tells the loop; the worker goes on until a plan
// leaves it out.
func (w *worker) leave(ctx context.Context) {
	if w.reg.Draining {
		return
	}
	w.reg.Draining = true
	w.log.Info("draining")
	w.announce(ctx, "announce the drain", func() { w.post(ctx, step.DrainRequested{}) })
}

// outside registers anew after a plan left this worker out, or its registration
// was taken away, unless it was asked to leave.
func (w *worker) outside(ctx context.Context, reason string) error {
	if w.reg.Draining {
		return ErrDrained
	}
	w.told.Store(nil) // that was another incarnation
	w.rejoins = true
	w.log.Warn("left out of the ring: joining again", zap.String("reason", reason))
	closing, cancel := context.WithTimeout(ctx, w.cfg.parting())
	defer cancel()
	if err := w.lease.Close(closing); err != nil {
		w.log.Warn("unregister", zap.Error(err))
	}
	if err := w.register(ctx); err != nil {
		return err
	}
	w.machine.Renew(w.reg.Incarnation)
	return nil
}

// lookForRun asks now and then, while this worker has no part in any step, whether
// the run is still there: the end of one that it slept through is told nowhere. A
// run that is done removes its spec from services that others use.
func (w *worker) lookForRun(ctx context.Context) {
	s := w.machine.State()
	alone := s == wire.WorkerJoining || s == wire.WorkerBroken || s == wire.WorkerGreeting
	if w.stands.Load() && !alone || time.Since(w.looked) < w.cfg.lease() {
		return
	}
	w.looked = time.Now()
	w.group.Go(func() error {
		within, cancel := context.WithTimeout(ctx, w.cfg.lease())
		defer cancel()
		_, there, err := w.cfg.Store.Spec(within)
		if there {
			w.stands.Store(true)
		} else if err == nil && w.stands.Load() {
			w.log.Info("the run has ended: nothing of it is left in the store")
			return errFinished
		}
		return nil
	})
}
