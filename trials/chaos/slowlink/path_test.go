package slowlink

import (
	"math"
	"testing"
	"time"
)

func TestPath(t *testing.T) {
	begun := time.Unix(0, 0)
	const size, count = 1250, 10000 // 10,000 bits
	for name, c := range map[string]struct {
		cfg   Config
		every time.Duration
		first time.Duration // how long the first packet takes
		last  time.Duration // how long the last one takes, about
		loss  float64
	}{
		"delay":            {Config{Delay: 20 * time.Millisecond}, time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond, 0},
		"loss":             {Config{Delay: 20 * time.Millisecond, Loss: 0.01}, time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond, 0.01},
		"rate that is met": {Config{Rate: 1e7, Queue: time.Second}, time.Millisecond, time.Millisecond, time.Millisecond, 0},
		// Twice as many packets as leave: half of them are dropped, the others wait.
		"rate that is not": {Config{Rate: 1e7, Queue: 100 * time.Millisecond}, 500 * time.Microsecond, time.Millisecond, 101 * time.Millisecond, 0.49},
	} {
		p := newPath(c.cfg, 1)
		lost, took, before := 0, time.Duration(0), begun
		for i := range count {
			now := begun.Add(time.Duration(i) * c.every)
			at, ok := p.send(now, size)
			if !ok {
				lost++
				continue
			}
			if at.Before(before) {
				t.Fatalf("%s: packet %d overtakes another", name, i)
			}
			before, took = at, at.Sub(now)
			if i == 0 && took != c.first {
				t.Errorf("%s: the first packet took %v, not %v", name, took, c.first)
			}
		}
		if share := float64(lost) / count; math.Abs(share-c.loss) > 0.006 {
			t.Errorf("%s: %.3f are lost, not %.3f", name, share, c.loss)
		}
		if d := took - c.last; d < -2*time.Millisecond || d > 2*time.Millisecond {
			t.Errorf("%s: the last packet took %v, not %v", name, took, c.last)
		}
	}
}

func TestJitter(t *testing.T) {
	p := newPath(Config{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond}, 1)
	least, most := time.Hour, time.Duration(0)
	for i := range 1000 {
		now := time.Unix(int64(i), 0)
		at, ok := p.send(now, 100)
		if !ok {
			t.Fatal("lost without a loss")
		}
		least, most = min(least, at.Sub(now)), max(most, at.Sub(now))
	}
	if least < 40*time.Millisecond || least > 41*time.Millisecond || most > 60*time.Millisecond || most < 59*time.Millisecond {
		t.Errorf("packets took from %v to %v, not from 40 to 60 ms", least, most)
	}
}

func TestValidate(t *testing.T) {
	if err := (Config{Delay: time.Second, Jitter: time.Second, Loss: 0.5, Rate: 1, Queue: 1}).Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{Delay: -1}, {Jitter: 1}, {Loss: 1}, {Loss: -1}, {Rate: -1}, {Rate: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
