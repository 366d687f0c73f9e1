package waiting

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDoublesUpToTheLongest(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		backoff Backoff
		want    []time.Duration
	}{
		{Backoff{50 * ms, time.Second}, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second}},
		{Every(time.Second), []time.Duration{time.Second, time.Second}},
		{Backoff{time.Minute, time.Second}, []time.Duration{time.Second, time.Second}},
		{Backoff{}, []time.Duration{0, 0}},
	} {
		var got []time.Duration
		for failures := range c.want {
			got = append(got, c.backoff.After(failures+1))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.backoff, got, c.want)
		}
		if first, last := c.backoff.After(0), c.backoff.After(math.MaxInt); first != c.want[0] || last != c.want[len(c.want)-1] {
			t.Errorf("%+v: %v before any failure, %v in the end", c.backoff, first, last)
		}
	}
}

// TestRetry shows when Retry ends, and with which error.
func TestRetry(t *testing.T) {
	refused, stopped := errors.New("connection refused"), errors.New("stopped")
	backoff := Backoff{time.Second, 4 * time.Second} // tries at 0, 1, 3, 7, 11, … seconds
	for _, c := range []struct {
		name   string
		doneAt int   // the try that is done; 0: none is
		result error // of that one
		err    error // of those before
		want   string
		took   time.Duration
	}{
		{"at once", 1, nil, nil, "", 0},
		{"the third time", 3, nil, refused, "", 3 * time.Second},
		{"given up", 4, refused, refused, "connection refused", 7 * time.Second},
		{"stopped", 0, nil, refused, "stopped: connection refused", 10 * time.Second},
		{"stopped, as the try says", 0, nil, stopped, "stopped", 10 * time.Second},
		{"stopped while it only waits", 0, nil, nil, "stopped", 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer time.AfterFunc(10*time.Second, func() { cancel(stopped) }).Stop()
				begun, tries := time.Now(), 0
				err := Retry(ctx, backoff, func(context.Context) (bool, error) {
					if tries++; tries == c.doneAt {
						return true, c.result
					}
					return false, c.err
				})
				if message(err) != c.want || time.Since(begun) != c.took {
					t.Errorf("it ends with %q after %s, not with %q after %s", message(err), time.Since(begun), c.want, c.took)
				}
			})
		})
	}
}
