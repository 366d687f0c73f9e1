package simulation

import "time"

// Outcome is how one seed went.
type Outcome struct {
	Seed       uint64
	Failure    error // nil: everything held
	Events     int
	Faults     int           // requests of users included
	Rebalanced int           // plans that only change shares
	Took       time.Duration // virtual
	Settled    time.Duration // from the end of the last fault on
	Transcript []string      // where it was asked for
}

// Run simulates one seed, with a deliberate mistake or none.
func Run(seed uint64, bug Bug, transcript bool) Outcome {
	w, err := newWorld(seed, bug, transcript)
	if err != nil {
		return Outcome{Seed: seed, Failure: err}
	}
	w.run()
	return Outcome{seed, w.failure, w.events, w.faults.seen, w.oracle.rebalanced, w.now, w.now - w.faults.quiet, w.said}
}
