// Package waiting bounds the waits of a process, and reports them: a wait that is not
// over after two seconds is named, with its bound, and one that reaches its bound ends
// in an error that names what did not come.
//
// It guarantees that For returns nil only if the call succeeded, and says nothing after
// it has returned. It cannot end a call that ignores its context.
package waiting

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Patience is how long a wait lasts before it is reported.
const Patience = 2 * time.Second

// Say takes a line for the user's screen or a log.
type Say func(text string)

// LateError says that something did not come in time.
type LateError struct {
	What  string
	Bound time.Duration
}

func (e *LateError) Error() string { return fmt.Sprintf("waited %s for %s", e.Bound, e.What) }

// Unwrap makes it the end of a deadline, as it is.
func (e *LateError) Unwrap() error { return context.DeadlineExceeded }

// For calls f, whose context ends with ctx and after the bound. The argument what
// completes the sentence "waiting for …". A bound of 0 is none, for waits that a user
// asked for.
func For(ctx context.Context, say Say, what string, bound time.Duration, f func(ctx context.Context) error) error {
	late := &LateError{what, bound}
	text := "waiting for " + what + "; Ctrl-C ends it"
	within, cancel := context.WithCancel(ctx)
	if bound > 0 {
		text = fmt.Sprintf("waiting for %s, at most %s", what, bound)
		within, cancel = context.WithTimeoutCause(ctx, bound, late)
	}
	defer cancel()
	over, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		timer := time.NewTimer(Patience)
		defer timer.Stop()
		select {
		case <-timer.C:
			say(text)
		case <-over:
		case <-within.Done():
		}
	}()
	err := f(within)
	close(over)
	<-told
	if err == nil || within.Err() == nil {
		return err
	}
	cause := context.Cause(within)
	if errors.Is(err, cause) {
		return err
	}
	if errors.Is(cause, late) {
		return fmt.Errorf("%w: %w", late, err)
	}
	return fmt.Errorf("waiting for %s: %w", what, cause)
}

// Until asks again and again whether something has come, with a pause between.
func Until(ctx context.Context, pause time.Duration, come func(ctx context.Context) (bool, error)) error {
	for {
		ok, err := come(ctx)
		if ok || err != nil {
			return err
		}
		if err := Rest(ctx, pause); err != nil {
			return err
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
