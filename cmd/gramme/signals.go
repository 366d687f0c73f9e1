package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/launch"
)

// atOnce bounds the clean-up after the second signal.
const atOnce = 2 * time.Second

// errInterrupted is the cause of contexts that end with the first signal.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that ends with the first signal that asks for it.
// The next one ends the process.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := process.OnTermination(func(int) {
		signal.Reset(process.TerminationSignals()...)
		cancel(errInterrupted)
	})
	return ctx, func() { stop(); cancel(nil) }
}

// interrupted gives an error that a signal has caused its exit code.
func interrupted(err error) error {
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		return exit.Wrap(exit.Interrupted, exit.Hint(err), errInterrupted)
	}
	return err
}

// signals are those of an `up`, from its beginning on: the first asks for an
// orderly end, the second ends at once.
type signals struct {
	first  context.Context // ends with it
	second chan struct{}   // closed by it
	trains atomic.Bool     // there is a step to finish and a checkpoint to store
	end    func()
}

// catch handles the signals until end is called.
func catch(ctx context.Context, out io.Writer) *signals {
	ctx, cancel := context.WithCancelCause(ctx)
	in := &signals{first: ctx, second: make(chan struct{})}
	var exits *time.Timer
	stop := process.OnTermination(func(n int) {
		switch n {
		case 1:
			what := "exiting"
			if in.trains.Load() {
				what = "stopping after this step and storing a checkpoint"
			}
			fmt.Fprintf(out, "\n%s; once more to exit at once\n", what)
			cancel(errInterrupted)
		case 2:
			close(in.second)
			// Children that do not react end with this process: the system kills the children
			// of a dead one.
			exits = time.AfterFunc(atOnce, func() {
				fmt.Fprintln(out, "error: ended at once\nhint: the same command resumes from the newest checkpoint")
				os.Exit(exit.Interrupted)
			})
		}
	})
	in.end = func() {
		if stop(); exits != nil {
			exits.Stop()
		}
		cancel(nil)
	}
	return in
}

// explain adds a hint to an error that the first signal caused.
func (in *signals) explain(err error) error {
	if in.first.Err() == nil || exit.Code(interrupted(err)) != exit.Interrupted || errors.Is(err, launch.ErrKilled) {
		return err
	}
	return exit.Wrap(exit.Interrupted, "the same command starts the unfinished part again", errInterrupted)
}
