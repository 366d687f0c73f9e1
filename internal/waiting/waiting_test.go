package waiting

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestFor shows the reports of waits that end in each way.
func TestFor(t *testing.T) {
	refused, stopped := errors.New("connection refused"), errors.New("stopped")
	take := func(d time.Duration, result error) func(context.Context) error {
		return func(ctx context.Context) error {
			if Rest(ctx, d) != nil {
				return refused // as a client says that was broken off
			}
			return result
		}
	}
	const told = "waiting for etcd to answer, at most 10s"
	for _, c := range []struct {
		name  string
		bound time.Duration
		stop  time.Duration // 0: nobody does
		f     func(context.Context) error
		said  []string
		err   string
		is    error
		took  time.Duration
	}{
		{"at once", 10 * time.Second, 0, take(time.Second, nil), nil, "", nil, time.Second},
		{"in time", 10 * time.Second, 0, take(9*time.Second, nil), []string{told}, "", nil, 9 * time.Second},
		{"fails", 10 * time.Second, 0, take(time.Second, refused), nil, "connection refused", refused, time.Second},
		{"never", 10 * time.Second, 0, take(time.Hour, nil), []string{told}, "waited 10s for etcd to answer: connection refused", context.DeadlineExceeded, 10 * time.Second},
		{"stopped", 10 * time.Second, 3 * time.Second, take(time.Hour, nil), []string{told}, "waiting for etcd to answer: stopped", stopped, 3 * time.Second},
		{"stopped soon", 10 * time.Second, time.Second, take(time.Hour, nil), nil, "waiting for etcd to answer: stopped", stopped, time.Second},
		{"without a bound", 0, time.Hour, take(2*time.Hour, nil), []string{"waiting for etcd to answer; Ctrl-C ends it"}, "waiting for etcd to answer: stopped", stopped, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if c.stop > 0 {
					time.AfterFunc(c.stop, func() { cancel(stopped) })
				}
				var said []string
				begun := time.Now()
				err := For(ctx, func(text string) { said = append(said, text) }, "etcd to answer", c.bound, c.f)
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %s, not %s", took, c.took)
				}
				if text := message(err); text != c.err || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("it ends with %q, not %q", text, c.err)
				}
				if !slices.Equal(said, c.said) {
					t.Errorf("it says %q, not %q", said, c.said)
				}
			})
		})
	}
}

// TestForWithACause does not repeat the message of the call.
func TestForWithACause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := For(t.Context(), func(string) {}, "NATS to answer", time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if message(err) != "waited 1s for NATS to answer" {
			t.Error(err)
		}
	})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
