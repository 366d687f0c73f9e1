package growth

import (
	"os"
	"testing"
	"time"
)

func TestSlope(t *testing.T) {
	at := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second}
	if got := slope(at, []float64{1, 3, 5, 9}); got < 1.999 || got > 2.001 {
		t.Errorf("slope %g of a line of slope 2", got)
	}
	if slope(at[:1], []float64{7}) != 0 || slope([]time.Duration{1, 1}, []float64{1, 2}) != 0 {
		t.Error("slope of what is no line")
	}
}

func TestGrowth(t *testing.T) {
	flat, leak, routines := life{name: "worker w1"}, life{name: "up"}, life{name: "coordinator"}
	for i := range 100 {
		at := time.Duration(i) * time.Second
		flat.at, leak.at, routines.at = append(flat.at, at), append(leak.at, at), append(routines.at, at)
		start := min(200, 10*float64(i)) // a start is no growth
		flat.held = append(flat.held, size{start, 9, 20, 40})
		leak.held = append(leak.held, size{50 + 2*float64(i), 9, 20, 0})
		routines.held = append(routines.held, size{50, 9, 20, 40 + float64(2*i)})
	}
	if g := flat.growth(); g.Grew || g.MiBPerMinute > 1 {
		t.Errorf("flat: %s", g)
	}
	if g := leak.growth(); !g.Grew || g.MiBPerMinute < 119 || g.MiBPerMinute > 121 {
		t.Errorf("2 MiB a second: %s", g)
	}
	if g := routines.growth(); !g.Grew || g.RoutineMinute < 119 || g.RoutineMinute > 121 {
		t.Errorf("2 goroutines a second: %s", g)
	}
	if _, ok := Judge([]Growth{flat.growth(), leak.growth()}); ok {
		t.Error("a leak is fine")
	}
}

func TestParseSize(t *testing.T) {
	s, err := parseSize("Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t7\n")
	if err != nil || s.rss != 2 || s.threads != 7 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseSize("Name:\tx\nThreads:\t1\n"); err == nil {
		t.Error("a process without memory")
	}
}

func TestSizeOfThisProcess(t *testing.T) {
	if s, err := sizeOf(os.Getpid()); err != nil || s.rss < 1 || s.threads < 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
