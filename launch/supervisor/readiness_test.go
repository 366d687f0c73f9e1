package supervisor

import (
	"testing"
	"time"
)

// TestReadiness plays how a worker may be that the coordinator does not know, with a look
// every half second.
func TestReadiness(t *testing.T) {
	const second = time.Second
	type stretch struct {
		of        time.Duration
		known     bool
		pid       int
		processor float64 // share of one
		state     byte
		slept     time.Duration // this process, before
	}
	work := stretch{of: 50 * second, processor: 0.5}
	for name, c := range map[string]struct {
		is         []stretch
		told, kill int
	}{
		"it gets ready":                    {is: []stretch{work, {of: time.Hour, known: true}}},
		"it takes long":                    {is: []stretch{work, work, work}, told: 1},
		"it hangs from the start":          {is: []stretch{{of: 40 * second}}, kill: 1},
		"not long enough to say":           {is: []stretch{{of: 29 * second}, {of: 29 * second, pid: 7}}},
		"it builds a model, then it hangs": {is: []stretch{work, {of: 40 * second}}, told: 1, kill: 1},
		"a little is used all the time":    {is: []stretch{{of: 40 * second, processor: 0.02}}, kill: 1},
		"it waits for a disk":              {is: []stretch{{of: 55 * second, state: 'D'}}},
		"somebody stopped it":              {is: []stretch{{of: time.Hour, state: 'T'}}, told: 1},
		"somebody stopped a thread of it":  {is: []stretch{{of: 40 * second, state: 't'}}, kill: 1},
		"the machine slept":                {is: []stretch{{of: 20 * second}, {of: 5 * second, slept: time.Hour}, {of: time.Hour, known: true}}},
		"it fell silent, and hangs":        {is: []stretch{{of: time.Hour, known: true}, {of: 40 * second}}, kill: 1},
		"the next hangs as well":           {is: []stretch{{of: 40 * second}, {of: 40 * second, pid: 8}}, kill: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var r readiness
			now, used, told, kill := time.Unix(1000, 0), time.Duration(0), 0, 0
			for _, s := range c.is {
				now = now.Add(s.slept)
				for range int(s.of / (second / 2)) {
					now = now.Add(second / 2)
					used += time.Duration(s.processor * float64(second/2))
					tells, kills := r.next(now, sample{1 + s.pid, s.known, Vitals{State: s.state, Used: used}, 30 * second})
					if tells {
						told++
					}
					if kills {
						kill++
					}
				}
			}
			if told != c.told || kill != c.kill {
				t.Errorf("told %d times, killed %d times; want %d and %d", told, kill, c.told, c.kill)
			}
		})
	}
}
