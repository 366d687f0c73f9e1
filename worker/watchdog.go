package worker

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// watchEvery is how often a Watchdog checks the computations in flight.
const watchEvery = 250 * time.Millisecond

// Watchdog guards the computations of this process: calls that cannot be cancelled if
// they do not return.
type Watchdog struct {
	limits   func(kind string) step.Limits
	mu       sync.Mutex
	watched  map[string]*step.Watchdog // by the name of what is computed
	stopping bool
}

// NewWatchdog returns a watchdog that checks nothing until Run is called. limits are those
// of a kind of computation.
func NewWatchdog(limits func(kind string) step.Limits) *Watchdog {
	return &Watchdog{limits: limits, watched: map[string]*step.Watchdog{}}
}

// Guard calls f. kind names it, in the plural: how long a call may take follows from how
// long earlier ones of the kind took. Only one call of a kind may run at a time.
func (d *Watchdog) Guard(kind string, f func() error) error {
	d.mu.Lock()
	own := d.watched[kind]
	if own == nil {
		own = step.NewWatchdog(time.Now(), used(), watchEvery, d.limits(kind))
		d.watched[kind] = own
	}
	own.Begin(time.Now())
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		own.End(time.Now())
	}()
	return f()
}

// Stopping sets whether the run waits for the computations in order to stop.
func (d *Watchdog) Stopping(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = yes
}

// Run checks until ctx ends, or until a computation hangs: then it returns a HungError.
func (d *Watchdog) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if evidence := d.check(); evidence != "" {
			return &HungError{evidence}
		}
	}
}

// check returns evidence of a hung computation, or "".
func (d *Watchdog) check() (evidence string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, used := time.Now(), used()
	for kind, own := range d.watched {
		own.Tick(now, used)
		if own.Overdue(d.stopping) {
			evidence = own.Evidence(kind)
		}
	}
	return evidence
}

// HungError says that a computation did not return. It keeps whatever it holds: only the
// end of the process ends it.
type HungError struct{ Evidence string }

func (e *HungError) Error() string { return "this process hangs: " + e.Evidence }

// used returns what this process has used so far.
func used() step.Usage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return step.Usage{}
	}
	return step.Usage{Processor: time.Duration(u.Utime.Nano() + u.Stime.Nano()), Faults: u.Majflt}
}

// watchComputations runs the watchdog. When a computation hangs, it reports that and ends the
// rest of the worker; the caller of Run ends the process.
func (w *worker) watchComputations(ctx context.Context, end func(cause error)) {
	hung := (*HungError)(nil)
	if !errors.As(w.dog.Run(ctx), &hung) {
		return
	}
	w.log.Error("a computation does not return: this process ends", zap.String("evidence", hung.Evidence))
	w.saveBeforeExit()
	w.suspectSelf(hung)
	end(hung)
	if w.cfg.Hung != nil {
		w.cfg.Hung(hung)
	}
}

// saveBeforeExit lets the checkpoint service store the state of a worker without others before its
// process ends: nobody else holds the steps since the last checkpoint.
//
// That is safe while a gradient hangs: computing one only reads the weights, so the state is
// that of the last applied step, and the loop, which owns it, makes the slice. While an update
// hangs, the loop is inside it and does not answer; the state is half updated, and nothing is
// stored.
func (w *worker) saveBeforeExit() {
	if !w.alone.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*w.cfg.answerTimeout())
	defer cancel()
	saved := make(chan uint64, 1)
	select {
	case w.finalSaves <- saved:
	case <-time.After(w.cfg.Spec.Patience()):
		return
	}
	applied := <-saved
	err := waiting.Retry(ctx, waiting.Every(w.cfg.Spec.FailureTimeout/5), func(ctx context.Context) (bool, error) {
		s := w.askState(ctx, w.subjects.SnapshotInfo(wire.IDCheckpoint), nil)
		return s.Err == nil && s.Info.Found && s.Info.Step >= applied, nil
	})
	if err != nil {
		w.log.Warn("the state of the last applied step could not be stored", zap.Error(err))
	}
}

// suspectSelf tells the coordinator that this worker hangs, so that the others go on at
// once.
func (w *worker) suspectSelf(hung *HungError) {
	t := w.lastBeat.Load()
	if t == nil {
		return // nobody waits for it
	}
	err := w.publish(w.subjects.Suspect(), step.SuspectSelf(t.beat, hung.Evidence))
	if err == nil {
		within, cancel := context.WithTimeout(context.Background(), w.cfg.Spec.Patience())
		defer cancel()
		err = w.cfg.Bus.Flush(within)
	}
	if err != nil {
		w.log.Warn("report that this worker hangs", zap.Error(err)) // the end of the process shows it too
	}
}

// updating guards an update of the whole state.
func (w *worker) updating(f func() (step.Event, error)) (e step.Event, err error) {
	err = w.dog.Guard(updates, func() (err error) {
		e, err = f()
		return err
	})
	return e, err
}
