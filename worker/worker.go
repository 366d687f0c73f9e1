package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/internal/energy"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/replica"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// ErrDrained is the cause of a Run that ended because the worker was asked to
// leave, with steps left to do.
var ErrDrained = errors.New("drained")

// worker is one call of Run. The fields below `events` belong to the goroutine
// in loop; replica is shared with those who serve it.
type worker struct {
	cfg      Config
	log      *zap.Logger
	subjects wire.Subjects
	rule     replica.Rule
	replica  *shared
	events   chan step.Event
	jobs     chan step.Compute
	saves    chan saveJob
	refusals chan wire.Refusal
	fetched  atomic.Pointer[fetchedState] // waits for Load
	closed   chan struct{}                // when the loop has ended
	start    time.Time

	machine *step.Machine
	applier *replica.Applier
	sum     *replica.Accumulator
	reg     wire.Registration
	state   wire.Numerics // by which the state was computed
	met     bool          // it knows whether it reaches the others
	refused string        // the incarnation that knows that it is
	lease   membership.Lease
	result  computed       // of the newest micro-batch
	ring    *session       // nil outside
	leaving sync.WaitGroup // links that are being closed
	beat    wire.Beat
	stepAt  time.Time          // when the newest step was applied
	speed   float64            // micro-batches a second, smoothed
	fetch   context.CancelFunc // of the fetch under way, or nil
	group   *errgroup.Group
}

// computed is the outcome of a Compute; its gradient lies in the trainer's
// buffer until the next one begins.
type computed struct {
	job      step.Compute
	measured replica.Measured
	took     time.Duration
}

// Run takes part in a run until its end, then returns nil; ErrDrained when the
// worker was asked to leave before; ctx's error when that ended.
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
		jobs: make(chan step.Compute, 1), saves: make(chan saveJob, 4), refusals: make(chan wire.Refusal, 1), start: time.Now(), closed: make(chan struct{}), reg: cfg.Registration,
	}
	state, err := replica.NewState(rule, cfg.Trainer.Weights())
	if err != nil {
		return err
	}
	w.replica = newShared(state, rule)
	return w.run(ctx)
}

// errFinished ends the group without an error.
var errFinished = errors.New("finished")

func (w *worker) run(ctx context.Context) error {
	if err := w.resume(ctx); err != nil {
		return err
	}
	stop, err := w.serve()
	if err != nil {
		return err
	}
	defer stop()
	w.group, ctx = errgroup.WithContext(ctx)
	w.group.Go(func() error { return w.compute(ctx) })
	w.group.Go(func() error { return w.save(ctx) })
	w.group.Go(func() error {
		err := w.loop(ctx)
		close(w.closed)
		w.close()
		if err == nil {
			err = errFinished // ends the others
		}
		return err
	})
	err = w.group.Wait()
	if errors.Is(err, errFinished) {
		return nil
	}
	return err
}

// resume brings the newest checkpoint, if there is one, or the initial weights
// that the trainer holds.
func (w *worker) resume(ctx context.Context) error {
	w.cfg.Meter.Phase(energy.Joining, 0, 0)
	info, err := w.snapshotInfo(ctx, wire.RoleCheckpoint)
	if err != nil {
		return fmt.Errorf("ask for a checkpoint: %w", err)
	}
	if info.Found {
		got, err := w.fetchSnapshot(ctx, []string{wire.RoleCheckpoint}, info)
		if err != nil {
			return fmt.Errorf("fetch checkpoint of step %d: %w", info.Step, err)
		}
		w.replica.load(got)
		w.state = info.Numerics
		w.log.Info("resumed from checkpoint", zap.Uint64("step", info.Step))
	}
	if err := w.cfg.Trainer.WeightsChanged(); err != nil {
		return err
	}
	w.sum.Reset(w.replica.state)
	return nil
}

// newIncarnation names a start of this worker, or a new beginning after it was
// thrown out.
func newIncarnation() string { return strings.ToLower(rand.Text()[:10]) }

// register makes the worker known.
func (w *worker) register(ctx context.Context) error {
	w.reg.Incarnation, w.reg.Mailbox = newIncarnation(), w.cfg.Links.URL()
	w.reg.Step, w.reg.Speed, w.reg.Origin = w.replica.step(), w.speed, w.state
	w.reg.Started = time.Now().UTC()
	lease, err := w.cfg.Store.Register(ctx, w.reg, w.cfg.lease())
	if err != nil {
		return fmt.Errorf("register worker %s: %w", w.reg.ID, err)
	}
	w.lease = lease
	if err := w.meet(ctx); err != nil {
		return err
	}
	w.log.Info("registered", zap.String("worker", w.reg.ID), zap.String("incarnation", w.reg.Incarnation), zap.Uint64("step", w.reg.Step))
	return nil
}

// meet finds out, once, how this worker and those that are registered reach each
// other, and says so in its registration. Nobody takes it in meanwhile: it has sent
// no heartbeat yet.
func (w *worker) meet(ctx context.Context) error {
	if w.cfg.Meet == nil || w.met {
		return nil
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	registered, err := w.cfg.Store.WatchWorkers(watching)
	if err != nil {
		return fmt.Errorf("see who is registered: %w", err)
	}
	var mailboxes []string
	for _, other := range <-registered {
		mailboxes = append(mailboxes, other.Mailbox)
	}
	if w.reg.Ring, err = w.cfg.Meet(ctx, mailboxes); err != nil {
		return err
	}
	w.met = true
	if w.reg.Ring == "" {
		return nil
	}
	if err := w.lease.Update(ctx, w.reg); err != nil {
		return fmt.Errorf("say that the ring goes through NATS: %w", err)
	}
	return nil
}

// loop owns the state machine.
func (w *worker) loop(ctx context.Context) error {
	if err := w.register(ctx); err != nil {
		return err
	}
	plans, err := w.cfg.Store.WatchPlan(ctx)
	if err != nil {
		return fmt.Errorf("watch plan: %w", err)
	}
	intents, err := w.cfg.Store.WatchIntent(ctx)
	if err != nil {
		return fmt.Errorf("watch intent: %w", err)
	}
	w.machine = step.New(step.Config{
		ID: w.reg.ID, Incarnation: w.reg.Incarnation, Steps: w.cfg.Spec.Steps,
		FailureTimeout: w.cfg.Spec.FailureTimeout, SaveEvery: w.cfg.Spec.Checkpoint.Every,
	}, w.now(), w.replica.step())
	w.publishBeat()
	ticker := time.NewTicker(w.cfg.Spec.FailureTimeout / 5)
	defer ticker.Stop()
	drain := w.cfg.Drain
	for {
		var e step.Event
		var lost <-chan struct{}
		if w.machine.Rank() < 0 { // a member hears of it by the plan that leaves it out
			lost = w.lease.Lost()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lost: // evicted while it was away, by a plan that it did not see
			if err := w.outside(ctx, "the registration is gone"); err != nil {
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
			if p.Rank(w.reg.ID, w.reg.Incarnation) >= 0 {
				w.state = wire.Numerics{Fingerprint: p.Fingerprint, Mixed: p.Mixed}
			}
			e = step.PlanChanged{Plan: p}
		case i, ok := <-intents:
			if !ok {
				intents = nil
				continue
			}
			asked := slices.Contains(i.Drain, w.reg.Incarnation)
			switch {
			case asked && w.machine.Rank() < 0:
				return ErrDrained // no plan will leave it out: it is in none
			case i.Stop:
				e = step.StopRequested{}
			case asked && !w.reg.Draining:
				if err := w.leave(ctx); err != nil {
					return err
				}
				e = step.DrainRequested{}
			default:
				continue
			}
		case <-drain:
			drain = nil
			if w.machine.Rank() < 0 {
				return ErrDrained
			}
			if err := w.leave(ctx); err != nil {
				return err
			}
			e = step.DrainRequested{}
		case <-ticker.C:
			w.publishBeat()
			e = step.Tick{}
		case r := <-w.refusals:
			w.hearRefusal(r)
			continue
		case e = <-w.events:
		}
		done, err := w.handle(ctx, e)
		if done || err != nil {
			return err
		}
	}
}

// now is time on a clock that never jumps.
func (w *worker) now() time.Time { return time.Unix(0, 0).Add(time.Since(w.start)) }

// leave announces the drain; the worker goes on until a plan leaves it out.
func (w *worker) leave(ctx context.Context) error {
	w.reg.Draining = true
	w.log.Info("draining")
	if err := w.lease.Update(ctx, w.reg); err != nil {
		return fmt.Errorf("announce the drain: %w", err)
	}
	return nil
}

// close ends what the loop had begun.
func (w *worker) close() {
	w.endFetch()
	w.endRing()
	defer w.leaving.Wait()
	if w.lease == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := w.lease.Close(ctx); err != nil {
		w.log.Warn("unregister", zap.Error(err)) // the lease ends by itself
	}
}

// hearRefusal says, once, that this worker is not admitted. It stays: who runs the
// run may let it in.
func (w *worker) hearRefusal(r wire.Refusal) {
	if r.Incarnation == w.reg.Incarnation && w.refused != r.Incarnation {
		w.refused = r.Incarnation
		w.log.Error("the run refuses this worker", zap.String("reason", r.Reason))
	}
}

// post hands an event to the loop.
func (w *worker) post(ctx context.Context, e step.Event) {
	select {
	case w.events <- e:
	case <-ctx.Done():
	}
}

// shared is the state with the newest entry, read by peers while the loop
// changes it.
type shared struct {
	mu    sync.RWMutex
	state *replica.State
	// entry is that of state.Step, nil before the first; spare is where the
	// next one is summed.
	entry, spare []int32
	length       int
}

func newShared(s *replica.State, r replica.Rule) *shared {
	return &shared{state: s, spare: make([]int32, r.EntryLen()), length: r.EntryLen()}
}

func (s *shared) step() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.Step
}

// load replaces the state by a fetched one.
func (s *shared) load(f *fetchedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copy(s.state.Weights, f.state.Weights)
	copy(s.state.Moment1, f.state.Moment1)
	copy(s.state.Moment2, f.state.Moment2)
	s.state.Meta = f.state.Meta
	if s.entry != nil {
		s.spare, s.entry = s.entry, nil
	}
}

// apply applies the entry in spare and keeps it for peers.
func (s *shared) apply(a *replica.Applier) (replica.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := a.Apply(s.state, s.spare)
	if err != nil {
		return o, err
	}
	if s.entry == nil {
		s.entry = make([]int32, s.length)
	}
	s.entry, s.spare = s.spare, s.entry
	return o, nil
}
