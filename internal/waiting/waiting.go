// Package waiting waits: for a time, between tries, and for what others do. A wait with a
// bound is reported: one that is not over after two seconds is named, with its bound, and
// one that reaches its bound ends in an error that names what did not come.
//
// It guarantees that every wait ends with its context, that For and Retry return nil only
// if the call succeeded, and that For and Reported say nothing after they have returned. It
// cannot end a call that ignores its context.
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

// Reported calls f, and says a text once if f takes long.
func Reported(say Say, text string, f func() error) error {
	over, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		timer := time.NewTimer(Patience)
		defer timer.Stop()
		select {
		case <-timer.C:
			say(text)
		case <-over:
		}
	}()
	err := f()
	close(over)
	<-told
	return err
}

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
	err := Reported(say, text, func() error { return f(within) })
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
