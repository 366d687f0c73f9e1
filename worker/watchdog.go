package worker

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/worker/step"
)

// watchEvery is how often a Watchdog looks at what is under way.
const watchEvery = 250 * time.Millisecond

// Watchdog looks after the computations of this process: calls that nothing can break
// off if they do not return.
type Watchdog struct {
	mu       sync.Mutex
	watched  map[string]*step.Watchdog // by the name of what is computed
	stopping bool
}

// NewWatchdog returns one that looks at nothing until Run is called.
func NewWatchdog() *Watchdog { return &Watchdog{watched: map[string]*step.Watchdog{}} }

// Guard calls f. The name in the plural is that of its kind: how long those before it
// took says how long it may take. Two of a kind are not under way at a time.
func (d *Watchdog) Guard(kind string, limits step.Limits, f func() error) error {
	d.mu.Lock()
	own := d.watched[kind]
	if own == nil {
		own = step.NewWatchdog(time.Now(), used(), watchEvery, limits)
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

// Stopping says that the run waits for what is computed in order to stop, or does not
// any more.
func (d *Watchdog) Stopping(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = yes
}

// Run looks until ctx ends, or until something does not return: then it returns a
// HungError.
func (d *Watchdog) Run(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if evidence := d.look(); evidence != "" {
			return &HungError{evidence}
		}
	}
}

// look returns what is wrong, or "".
func (d *Watchdog) look() (evidence string) {
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

// HungError says that a computation did not return. Whatever it holds it holds for
// ever: only the end of the process ends it.
type HungError struct{ Evidence string }

func (e *HungError) Error() string { return "this process hangs: " + e.Evidence }

// used is what this process has taken so far.
func used() step.Used {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return step.Used{}
	}
	return step.Used{Processor: time.Duration(u.Utime.Nano() + u.Stime.Nano()), Faults: u.Majflt}
}

// watch looks after what this worker computes. Where that hangs it says so, has all
// else of the worker end, and leaves it to whoever started it to end the process.
func (w *worker) watch(ctx context.Context, end func(cause error)) {
	hung := (*HungError)(nil)
	if !errors.As(w.dog.Run(ctx), &hung) {
		return
	}
	w.log.Error("a computation does not return: this process ends", zap.String("evidence", hung.Evidence))
	w.suspectSelf(hung)
	end(hung)
	if w.cfg.Hung != nil {
		w.cfg.Hung(hung)
	}
}

// suspectSelf tells the coordinator that this worker hangs, so that the others go on at
// once.
func (w *worker) suspectSelf(hung *HungError) {
	t := w.told.Load()
	if t == nil {
		return // nobody waits for it
	}
	err := w.publish(w.subjects.Suspect(), step.SuspectSelf(t.beat, hung.Evidence))
	if err == nil {
		err = w.cfg.NATS.FlushTimeout(w.cfg.Spec.Patience())
	}
	if err != nil {
		w.log.Warn("tell that this worker hangs", zap.Error(err)) // its end will
	}
}

// updating guards what changes the whole state.
func (w *worker) updating(f func() (step.Event, error)) (e step.Event, err error) {
	err = w.dog.Guard("updates", step.UpdateLimits(w.cfg.Spec.Patience()), func() (err error) {
		e, err = f()
		return err
	})
	return e, err
}
