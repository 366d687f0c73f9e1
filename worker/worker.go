package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// ErrDrained is returned by a Run that ended because the worker was asked to leave before
// the last step.
var ErrDrained = errors.New("drained")

// worker is one call of Run. Only the goroutine in loop uses the fields from machine on;
// the ID in reg never changes, and all may read it.
type worker struct {
	cfg         Config
	log         *zap.Logger
	subjects    wire.Subjects
	rule        replica.Rule
	replica     *shared
	events      chan step.Event
	jobs        chan step.Compute
	results     chan computed // of jobs
	saves       saves
	refusals    chan wire.Refusal
	unreachable chan struct{}                // members no longer reach each other
	fetched     atomic.Pointer[fetchedState] // waits for Load
	closed      chan struct{}                // when the loop has ended
	finalSaves  chan chan uint64             // of the watchdog, for the step that is saved
	alone       atomic.Bool                  // no other member holds the state
	link        atomic.Value                 // a string: how frames reach the next member, as heartbeats say it
	start       time.Time
	dog         *Watchdog

	announced  atomic.Pointer[wire.Registration] // what announce is to write
	announcing sync.Mutex                        // held during a write

	probing     atomic.Bool              // a probe of the mailboxes is running
	leaving     sync.WaitGroup           // links that are being closed
	lastBeat    atomic.Pointer[sentBeat] // the newest heartbeat, for live
	echoes      echoMonitor              // of this worker's own heartbeats
	specPresent atomic.Bool              // the store holds the run's spec, or did
	group       *errgroup.Group

	machine       *step.Machine
	applier       *replica.Applier
	sum           *replica.Accumulator
	reg           wire.Registration
	stateNumerics wire.Numerics // by which the state was computed
	planNumerics  wire.Numerics // of the newest plan
	probed        bool          // it knows whether it reaches the others
	lease         membership.Lease
	rejoining     bool               // it was a member before
	result        computed           // of the newest micro-batch
	ring          *session           // nil outside
	beat          wire.Beat          // the next heartbeat
	lastSpecCheck time.Time          // when the spec was last looked up
	wasMember     bool               // it was a member of a generation
	refusedSince  time.Time          // when the run first refused this incarnation
	stepAt        time.Time          // when the newest step was applied
	speed         *step.SpeedMeter   // of what it computes
	fetch         context.CancelFunc // of the fetch in flight, or nil
}

// computed is the result of a Compute; its gradient is in the trainer's buffer until the
// next Compute.
type computed struct {
	job      step.Compute
	measured replica.Measured
	took     time.Duration
}

// Run takes part in a run until its end, then returns nil. It returns ErrDrained if the
// worker was asked to leave before, and ctx's error if ctx ended.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	rule := cfg.Spec.Rule(cfg.Layout)
	applier, err := replica.NewApplier(rule, cfg.Cores)
	if err != nil {
		return err
	}
	w := &worker{
		cfg: cfg, log: cfg.Log, subjects: wire.SubjectsOf(cfg.Spec.Run), rule: rule, applier: applier,
		sum: replica.NewAccumulator(rule, cfg.Cores), events: make(chan step.Event, 64),
		jobs: make(chan step.Compute, 1), results: make(chan computed, 1), saves: newSaves(cfg), refusals: make(chan wire.Refusal, 1), unreachable: make(chan struct{}, 1), start: time.Now(), dog: NewWatchdog(cfg.limits), closed: make(chan struct{}), finalSaves: make(chan chan uint64), reg: cfg.Registration,
		echoes: echoMonitor{monitor: step.NewEchoMonitor(cfg.Spec.FailureTimeout)},
		speed:  step.NewSpeedMeter(2 * cfg.Spec.FailureTimeout), // the coordinator waits longer before it acts on the speed
	}
	state, err := replica.NewState(rule, cfg.Trainer.Weights())
	if err != nil {
		return err
	}
	device, err := hold(cfg.Trainer, rule)
	if err != nil {
		return err
	}
	held := pin.New(state, rule, pin.MaxEntries(rule))
	if device != nil {
		state.MoveTo(device)
		if w.sum, err = replica.NewDeviceAccumulator(rule, device); err != nil {
			return err
		}
		if err := lend(held, device, rule.EntryLen()); err != nil {
			return err
		}
	}
	w.replica = &shared{Replica: held}
	return w.run(ctx)
}

// RefusedError says why a run refuses a worker.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "the run refuses this worker: " + e.Reason }

// errFinished ends the group without an error.
var errFinished = errors.New("finished")

func (w *worker) run(ctx context.Context) error {
	running, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { w.watchComputations(running, end) })
	defer watching.Wait()
	defer end(nil)
	err := w.unlessDrained(running, func(ctx context.Context) error {
		if err := w.resume(ctx); err != nil {
			return err
		}
		done := w.replica.step()
		if done >= w.cfg.Spec.Steps {
			return nil
		}
		// Fetch the shards of the next steps before others wait for this worker.
		_, err := w.drawBatch(ctx, done, 0)
		return err
	})
	if err != nil {
		return err
	}
	stop, err := w.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	w.group, ctx = errgroup.WithContext(running)
	w.group.Go(func() error { return w.compute(ctx) })
	w.group.Go(func() error { return w.save(ctx) })
	w.group.Go(func() error { return w.repeatBeats(ctx) })
	w.group.Go(func() error {
		err := w.loop(ctx)
		close(w.closed)
		w.closeLoop()
		if err == nil {
			err = errFinished // ends the others
		}
		return err
	})
	err = w.group.Wait()
	if hung := (*HungError)(nil); errors.As(context.Cause(ctx), &hung) {
		return hung // and not the errors that follow from ending the worker
	}
	if errors.Is(err, errFinished) {
		return nil
	}
	return err
}

// loop owns the state machine.
func (w *worker) loop(ctx context.Context) error {
	if err := w.register(ctx); err != nil {
		return err
	}
	plans, err := retryUntilDrained(ctx, w, "watch plan", func() (<-chan wire.Plan, error) { return w.cfg.Store.WatchPlan(ctx) })
	if err != nil {
		return err
	}
	intents, err := retryUntilDrained(ctx, w, "watch intent", func() (<-chan wire.Intent, error) { return w.cfg.Store.WatchIntent(ctx) })
	if err != nil {
		return err
	}
	w.machine = step.New(step.Config{
		ID: w.reg.ID, Incarnation: w.reg.Incarnation, Steps: w.cfg.Spec.Steps,
		FailureTimeout: w.cfg.Spec.FailureTimeout, SaveEvery: w.cfg.Spec.Checkpoint.Every,
		Diverged: w.findDivergence(),
	}, w.now(), w.replica.step())
	w.publishBeat()
	ticker := time.NewTicker(step.HeartbeatInterval(w.cfg.Spec.FailureTimeout))
	defer ticker.Stop()
	drain := w.cfg.Drain
	for {
		var e step.Event
		var lost <-chan struct{}
		if w.machine.Rank() < 0 { // a member learns it from the plan that leaves it out
			lost = w.lease.Lost()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lost: // evicted by a plan that it did not see
			if err := w.rejoin(ctx, "the registration is gone"); err != nil {
				return err
			}
			continue
		case p, ok := <-plans:
			if !ok {
				plans = nil
				continue
			}
			w.log.Info("plan", zap.Uint64("generation", p.Generation), zap.Int("rank", p.Rank(w.reg.ID, w.reg.Incarnation)),
				zap.Int("world", len(p.Members)), zap.String("reason", p.Reason))
			w.planNumerics = wire.Numerics{Fingerprint: p.Fingerprint, Mixed: p.Mixed}
			if p.Rank(w.reg.ID, w.reg.Incarnation) >= 0 {
				w.stateNumerics, w.wasMember = w.planNumerics, true
			}
			e = step.PlanChanged{Plan: p}
		case i, ok := <-intents:
			if !ok {
				intents = nil
				continue
			}
			if err := w.depart(ctx, w.machine.Departure(i)); err != nil {
				return err
			}
			w.dog.Stopping(i.Stop)
			e = step.StopRequested{Withdrawn: !i.Stop}
		case <-drain:
			drain = nil
			if err := w.depart(ctx, w.machine.Drained()); err != nil {
				return err
			}
			continue
		case <-ticker.C:
			w.publishBeat()
			w.checkSpec(ctx)
			w.replica.change(func() { w.replica.ReleaseUnused(w.now().Add(-5 * w.cfg.Spec.FailureTimeout)) })
			e = step.Tick{}
		case r := <-w.refusals:
			if r.Incarnation != w.reg.Incarnation {
				continue
			}
			if !w.machine.Refused() { // a refusal answers every heartbeat
				w.refusedSince = w.now()
				w.log.Error("the run refuses this worker", zap.String("reason", r.Reason))
			}
			// A former member holds a state that the run may need, and the user may still
			// admit it. A worker with Stays waits, too.
			if !w.cfg.Stays && !w.wasMember && w.now().Sub(w.refusedSince) >= w.cfg.Spec.FailureTimeout {
				return &RefusedError{r.Reason}
			}
			e = step.Refused{}
		case saved := <-w.finalSaves:
			save, _ := w.machine.FinalSave()
			saved <- save.Step
			if err := w.queueSave(save); err != nil {
				return err
			}
			continue
		case <-w.unreachable:
			w.routeThroughNATS(ctx)
			continue
		case w.result = <-w.results:
			e = step.Computed{Step: w.result.job.Step, Index: w.result.job.Index}
		case e = <-w.events:
		}
		done, err := w.handle(ctx, e)
		if done || err != nil {
			return err
		}
	}
}

// now returns the time on a clock that never jumps.
func (w *worker) now() time.Time { return time.Unix(0, 0).Add(time.Since(w.start)) }

// closeLoop ends what the loop started.
func (w *worker) closeLoop() {
	w.endFetch()
	w.endRing()
	defer w.leaving.Wait()
	if w.lease == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.cfg.closeTimeout())
	defer cancel()
	if err := w.lease.Close(ctx); err != nil {
		w.log.Warn("unregister", zap.Error(err)) // the lease ends by itself
	}
}

// post passes an event to the loop.
func (w *worker) post(ctx context.Context, e step.Event) {
	select {
	case w.events <- e:
	case <-ctx.Done():
	}
}
