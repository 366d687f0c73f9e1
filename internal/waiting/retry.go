package waiting

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backoff is how long to wait between tries: First after the first failure, then each
// time twice as long, at most Longest. It is a value without a clock.
type Backoff struct{ First, Longest time.Duration }

// Every is the Backoff whose delays do not grow.
func Every(d time.Duration) Backoff { return Backoff{d, d} }

// After is the delay after so many failures in a row.
func (b Backoff) After(failures int) time.Duration {
	d := b.First
	for ; failures > 1 && d < b.Longest; failures-- {
		d *= 2
	}
	return min(d, b.Longest)
}

// Retry calls try until it is done, and returns its error then. If ctx ends first, the
// error says why, and how the last try failed. At least one try is made.
func Retry(ctx context.Context, b Backoff, try func(ctx context.Context) (done bool, err error)) error {
	for failures := 1; ; failures++ {
		done, err := try(ctx)
		if done {
			return err
		}
		ended := Rest(ctx, b.After(failures))
		switch {
		case ended == nil:
		case err == nil:
			return ended
		case errors.Is(err, ended):
			return err
		default:
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
}

// Rest waits, or returns why ctx ended before.
func Rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Pause waits, or until ctx ends: for a loop that looks at ctx itself.
func Pause(ctx context.Context, d time.Duration) { _ = Rest(ctx, d) }
