package energy

import "math"

// Load says who used the processors of a host while a counter of the host was
// read. The counter's reading is charged to the run that read it, as a whole;
// these numbers tell what part of the work was another's.
type Load struct {
	HostNanos int64            `json:"host_ns"`        // processor time of everything that ran there
	RunNanos  int64            `json:"run_ns"`         // of it, the processes of this run that have a meter
	Runs      map[string]int64 `json:"runs,omitempty"` // of it, other runs, by name
}

// Add adds what another stretch of time saw. What does not fit an int64 is as much
// as fits.
func (l *Load) Add(o Load) {
	add := func(a, b int64) int64 {
		if sum, ok := Add(a, b); ok {
			return sum
		}
		return math.MaxInt64
	}
	l.HostNanos = add(l.HostNanos, o.HostNanos)
	l.RunNanos = add(l.RunNanos, o.RunNanos)
	for run, nanos := range o.Runs {
		if l.Runs == nil {
			l.Runs = map[string]int64{}
		}
		l.Runs[run] = add(l.Runs[run], nanos)
	}
}

// OthersShare is the part of the host's processor time, 0 to 1, that was not
// this run's.
func (l Load) OthersShare() float64 {
	if l.HostNanos <= 0 {
		return 0
	}
	return max(0, 1-float64(l.RunNanos)/float64(l.HostNanos))
}

// negative reports whether an amount is.
func (l *Load) negative() bool {
	if l == nil {
		return false
	}
	for _, nanos := range l.Runs {
		if nanos < 0 {
			return true
		}
	}
	return l.HostNanos < 0 || l.RunNanos < 0
}
