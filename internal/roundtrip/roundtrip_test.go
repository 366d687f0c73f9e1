package roundtrip

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// TestPatience shows the patience of several kinds of links, by a round trip every 125 ms.
func TestPatience(t *testing.T) {
	steady := func(took time.Duration) func(int) time.Duration { return func(int) time.Duration { return took } }
	for name, c := range map[string]struct {
		took        func(i int) time.Duration
		least, most time.Duration
	}{
		"within a machine":             {steady(100 * time.Microsecond), time.Second, time.Second},
		"a busy machine":               {func(i int) time.Duration { return time.Duration(i%7) * 10 * ms }, time.Second, time.Second},
		"within a machine, one slow":   {func(i int) time.Duration { return map[bool]time.Duration{true: 600 * ms}[i == 150] }, time.Second, time.Second},
		"across a network":             {steady(40 * ms), 3600 * ms, 4 * time.Second},
		"across a network that varies": {func(i int) time.Duration { return time.Duration(80+40*(i%2)) * ms }, 4 * time.Second, 6 * time.Second},
		"a stall of three seconds": {func(i int) time.Duration {
			if i == 190 {
				return 3 * time.Second
			}
			return 40 * ms
		}, 8 * time.Second, 10 * time.Second},
		"a stall that is long past": {func(i int) time.Duration {
			if i == 1 {
				return 60 * time.Second
			}
			return 40 * ms
		}, 30 * time.Second, 30 * time.Second},
	} {
		var e Estimate
		now := time.Unix(0, 0)
		for i := range 200 {
			now = now.Add(125 * ms)
			e.Add(now, c.took(i))
		}
		if got := e.Patience(now, time.Second); got < c.least || got > c.most {
			t.Errorf("%s: %v, not %v to %v", name, got, c.least, c.most)
		}
	}
}

// TestForgets shows that a stall does not count for ever.
func TestForgets(t *testing.T) {
	var e Estimate
	now := time.Unix(0, 0)
	e.Add(now, 40*ms)
	e.Add(now, 8*time.Second)
	before := e.Patience(now, time.Second)
	for range 8 * 60 * 5 {
		now = now.Add(125 * ms)
		e.Add(now, 40*ms)
	}
	if after := e.Patience(now, time.Second); before < 24*time.Second || after > 4*time.Second {
		t.Errorf("%v after a stall of 8 s, %v five minutes later", before, after)
	}
}

func TestUnmeasured(t *testing.T) {
	var e Estimate
	if got := e.Patience(time.Now(), time.Second); got != time.Second {
		t.Errorf("%v where nothing was measured", got)
	}
}
