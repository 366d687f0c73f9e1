package energy

// Load says which runs used the processors of a host while a counter of the host was read.
// The whole reading is charged to the run that read the counter; these numbers show which
// part of the work was of others.
type Load struct {
	HostNanos int64            `json:"host_ns"`        // processor time of the whole host
	RunNanos  int64            `json:"run_ns"`         // part of it: metered processes of this run
	Runs      map[string]int64 `json:"runs,omitempty"` // parts of it: other runs, by name
}

// Add adds the load of another time. Sums saturate.
func (l *Load) Add(o Load) {
	l.HostNanos = AddSaturating(l.HostNanos, o.HostNanos)
	l.RunNanos = AddSaturating(l.RunNanos, o.RunNanos)
	for run, nanos := range o.Runs {
		if l.Runs == nil {
			l.Runs = map[string]int64{}
		}
		l.Runs[run] = AddSaturating(l.Runs[run], nanos)
	}
}

// OthersShare returns the part of the host's processor time, 0 to 1, that other processes
// used.
func (l Load) OthersShare() float64 {
	if l.HostNanos <= 0 {
		return 0
	}
	return max(0, 1-float64(l.RunNanos)/float64(l.HostNanos))
}

// hasNegative reports whether any amount is negative.
func (l *Load) hasNegative() bool {
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
