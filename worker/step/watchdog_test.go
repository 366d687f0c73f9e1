package step

import (
	"testing"
	"time"
)

// TestWatchdog plays what a process may go through.
func TestWatchdog(t *testing.T) {
	const every, second = 250 * time.Millisecond, time.Second
	limits := Limits{Least: 10 * second, First: 30 * second, Stopping: 3 * second}
	// A stretch of time: it computes once and again for as long as is said, or goes on
	// with what does not return.
	type stretch struct {
		times     int           // how often it computes
		took      time.Duration // each time; where times is 0, how long nothing returns
		processor float64       // share of one processor meanwhile
		faults    bool
		frozen    time.Duration // the whole process, before anything else
	}
	calm := stretch{times: 30, took: 300 * time.Millisecond, processor: 1}
	for name, c := range map[string]struct {
		limits   Limits
		stopping bool
		before   []stretch
		hangs    stretch
		overdue  bool
	}{
		"a thread that is stopped":      {before: []stretch{calm}, hangs: stretch{took: 11 * second}, overdue: true},
		"not yet":                       {before: []stretch{calm}, hangs: stretch{took: 9 * second}},
		"a little is used all the time": {before: []stretch{calm}, hangs: stretch{took: 11 * second, processor: 0.03}, overdue: true},
		"slow ones have longer":         {before: []stretch{{times: 3, took: 2 * second}}, hangs: stretch{took: 35 * second}},
		"and not for ever":              {before: []stretch{{times: 3, took: 2 * second}}, hangs: stretch{took: 45 * second}, overdue: true},
		"it was disturbed once":         {before: []stretch{calm, {times: 1, took: 9 * second}, {times: 5, took: second}}, hangs: stretch{took: 34 * second}},
		"and that hides no hang":        {before: []stretch{calm, {times: 1, took: 9 * second}, {times: 5, took: second}}, hangs: stretch{took: 38 * second}, overdue: true},
		"that is forgotten":             {before: []stretch{{times: 1, took: 3 * second}, calm}, hangs: stretch{took: 11 * second}, overdue: true},
		"the first":                     {hangs: stretch{took: 28 * second}},
		"the first does not return":     {hangs: stretch{took: 32 * second}, overdue: true},
		"the processor is busy":         {before: []stretch{calm}, hangs: stretch{took: 35 * second, processor: 0.2}},
		"a kernel spins":                {before: []stretch{calm}, hangs: stretch{took: 45 * second, processor: 1}, overdue: true},
		"it swaps":                      {before: []stretch{calm}, hangs: stretch{took: 35 * second, faults: true}},
		"the machine slept":             {before: []stretch{calm}, hangs: stretch{took: 2 * second, frozen: time.Hour}},
		"it slept before":               {before: []stretch{calm, {times: 1, took: second, frozen: time.Hour}}, hangs: stretch{took: 32 * second}, overdue: true},
		"the run is to stop":            {before: []stretch{calm}, hangs: stretch{took: 4 * second}, stopping: true, overdue: true},
		"the run is to stop, and that is not much later": {before: []stretch{calm}, hangs: stretch{took: 2 * second}, stopping: true},
		"the run is to stop, and the first is slow":      {hangs: stretch{took: 28 * second}, stopping: true},
		"a user said how long":                           {limits: Limits{Fixed: 2 * second}, before: []stretch{calm}, hangs: stretch{took: 3 * second}, overdue: true},
		"a user has patience":                            {limits: Limits{Fixed: time.Hour}, before: []stretch{calm}, hangs: stretch{took: 50 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.limits == (Limits{}) {
				c.limits = limits
			}
			now, used := time.Unix(1000, 0), Usage{}
			d := NewWatchdog(now, used, every, c.limits)
			next := now.Add(every)
			pass := func(span time.Duration, s stretch) {
				for end := now.Add(span); now.Before(end); {
					to := end
					if next.Before(to) {
						to = next
					}
					used.Processor += time.Duration(s.processor * float64(to.Sub(now)))
					if now = to; now.Before(next) {
						continue
					}
					if s.faults {
						used.Faults++
					}
					d.Tick(now, used)
					next = now.Add(every)
				}
			}
			freeze := func(span time.Duration) {
				now = now.Add(span)
				if span > 0 {
					next = now
				}
			}
			for _, s := range c.before {
				for range s.times {
					d.Begin(now)
					freeze(s.frozen)
					pass(s.took, s)
					if d.Overdue(c.stopping) {
						t.Fatal("overdue before anything happened")
					}
					d.End(now)
				}
			}
			d.Begin(now)
			freeze(c.hangs.frozen)
			pass(c.hangs.took, c.hangs)
			if got := d.Overdue(c.stopping); got != c.overdue {
				t.Errorf("overdue: %v", got)
			}
			d.End(now)
			if pass(time.Hour, stretch{}); d.Overdue(c.stopping) {
				t.Error("overdue, and nothing is computed")
			}
		})
	}
}

// TestWatchdogSaysWhatIsWrong reads its evidence.
func TestWatchdogSaysWhatIsWrong(t *testing.T) {
	now := time.Unix(1000, 0)
	d := NewWatchdog(now, Usage{}, time.Second, Limits{Least: time.Second, First: time.Second})
	wait := func(seconds int) {
		for range seconds {
			now = now.Add(time.Second)
			d.Tick(now, Usage{})
		}
	}
	is := func(want string) {
		t.Helper()
		if got := d.Evidence("micro-batches"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	d.Begin(now)
	wait(7)
	is("its computation did not return for 7.0 s (it is the first of its micro-batches)")
	d.End(now)
	for range 20 {
		d.Begin(now)
		now = now.Add(300 * time.Millisecond)
		d.End(now)
		d.Tick(now, Usage{})
	}
	d.Begin(now)
	wait(12)
	is("its computation did not return for 12 s (micro-batches take 0.3 s)")
}
