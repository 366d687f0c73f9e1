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
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/fetch"
	"github.com/gramme-project/gramme/worker/step"
)

// resume loads the newest checkpoint, or else keeps the initial weights of the trainer.
func (w *worker) resume(ctx context.Context) error {
	w.cfg.Meter.Phase(energy.Joining, 0, 0)
	got, end := w.runFetch(ctx, fetch.NewResume(w.cfg.Spec.FailureTimeout), nil)
	if end.Err != nil {
		return end.Err
	}
	if got != nil {
		w.replica.change(func() { w.replica.Load(&got.state) })
		w.stateNumerics = got.numerics
		w.log.Info("resumed from checkpoint", zap.Uint64("step", got.state.Step))
	}
	_, err := w.updating(func() (step.Event, error) { return nil, w.cfg.Trainer.WeightsChanged() })
	w.sum.Reset(w.replica.State)
	return err
}

// unlessDrained runs do until the worker is asked to leave.
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

// newIncarnation names one life of this worker: from its start, or from the time when it
// registers again.
func newIncarnation() string { return strings.ToLower(rand.Text()[:10]) }

// register registers the worker. It fails if another worker with its ID sends heartbeats;
// a worker without heartbeats may have ended, and keeps the ID until its lease ends.
func (w *worker) register(ctx context.Context) error {
	w.reg.Incarnation, w.reg.Mailbox = newIncarnation(), w.cfg.Links.URL()
	w.reg.Step, w.reg.Speed, w.reg.Origin = w.replica.step(), number.Float(w.speed.Speed()), w.stateNumerics
	w.reg.Started = time.Now().UTC()
	ttl := w.cfg.leaseTTL()
	attempts := step.NewRegistering(ttl, w.cfg.Spec.FailureTimeout)
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
		next := attempts.Failed(w.now(), err)
		if ctx.Err() != nil || next == step.GiveUp || next == step.ListenForHeartbeat && w.idInUse(ctx) {
			return fmt.Errorf("register worker %s: %w", w.reg.ID, err)
		}
		w.log.Warn("register: retrying", zap.Error(err))
		if err := w.pauseUnlessDrained(ctx); err != nil {
			return err
		}
	}
}

// pauseUnlessDrained waits before another try, or until ctx ends; ErrDrained says that the
// worker is drained.
func (w *worker) pauseUnlessDrained(ctx context.Context) error {
	return w.unlessDrained(ctx, func(ctx context.Context) error {
		waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/4)
		return nil
	})
}

// idInUse reports whether heartbeats of this ID arrive.
func (w *worker) idInUse(ctx context.Context) bool {
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

// retryUntilDrained asks the store until it answers, ctx ends or the worker is drained.
func retryUntilDrained[T any](ctx context.Context, w *worker, what string, ask func() (T, error)) (T, error) {
	for {
		v, err := ask()
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, fmt.Errorf("%s: %w", what, err)
		}
		w.log.Warn(what+": retrying", zap.Error(err))
		if err := w.pauseUnlessDrained(ctx); err != nil {
			return v, err
		}
	}
}

// announce writes the registration in the background until the store has it or does not
// need it any more, and then calls then.
func (w *worker) announce(ctx context.Context, what string, then func()) {
	reg, lease := w.reg, w.lease
	w.announced.Store(&reg)
	w.group.Go(func() error {
		w.announcing.Lock()
		defer w.announcing.Unlock()
		for ctx.Err() == nil {
			newest := w.announced.Load() // an older one may have had to wait
			if newest.Incarnation != reg.Incarnation {
				break // the worker registered again, with the newest registration
			}
			within, cancel := context.WithTimeout(ctx, w.cfg.leaseTTL())
			err := lease.Update(within, *newest)
			cancel()
			if step.Settled(err) {
				break
			}
			w.log.Warn(what+": retrying", zap.Error(err))
			waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/4)
		}
		then()
		return nil
	})
}

// depart ends the worker at once if it may leave now. Otherwise it announces the drain and
// then tells the loop: the worker trains until a plan leaves it out.
func (w *worker) depart(ctx context.Context, how step.Departure) error {
	switch {
	case how == step.LeaveNow:
		return ErrDrained
	case how == step.AnnounceDrain && !w.reg.Draining:
		w.reg.Draining = true
		w.log.Info("draining")
		w.announce(ctx, "announce the drain", func() { w.post(ctx, step.DrainRequested{}) })
	}
	return nil
}

// rejoin registers again after a plan left this worker out or its registration was
// removed, unless it was asked to leave.
func (w *worker) rejoin(ctx context.Context, reason string) error {
	if w.reg.Draining {
		return ErrDrained
	}
	w.lastBeat.Store(nil) // that heartbeat is of another incarnation
	w.rejoining = true
	w.log.Warn("left out of the ring: joining again", zap.String("reason", reason))
	closing, cancel := context.WithTimeout(ctx, w.cfg.closeTimeout())
	defer cancel()
	if err := w.lease.Close(closing); err != nil {
		w.log.Warn("unregister", zap.Error(err))
	}
	if err := w.register(ctx); err != nil {
		return err
	}
	w.machine.SetIncarnation(w.reg.Incarnation)
	return nil
}

// checkSpec regularly asks the store for the run's spec while this worker takes no part in
// steps: it may have slept through the end of the run, which is not announced again. A
// finished run removes its spec from shared services.
func (w *worker) checkSpec(ctx context.Context) {
	s := w.machine.State()
	outsideSteps := s == wire.WorkerJoining || s == wire.WorkerBroken || s == wire.WorkerGreeting
	if w.specPresent.Load() && !outsideSteps || time.Since(w.lastSpecCheck) < w.cfg.leaseTTL() {
		return
	}
	w.lastSpecCheck = time.Now()
	w.group.Go(func() error {
		within, cancel := context.WithTimeout(ctx, w.cfg.leaseTTL())
		defer cancel()
		_, err := w.cfg.Store.Spec(within)
		if err == nil {
			w.specPresent.Store(true)
		} else if errors.Is(err, membership.ErrNoRun) && w.specPresent.Load() {
			w.log.Info("the run has ended: nothing of it is left in the store")
			return errFinished
		}
		return nil
	})
}
