package energy

import "slices"

// Phase is what a process was doing.
type Phase string

// The phases. A worker is always in exactly one.
const (
	Compute       Phase = "compute"       // forward and backward passes that count, rounded and summed
	Synchronizing Phase = "synchronizing" // in the ring, while the neighbour still computes its share
	Communication Phase = "communication" // moving and adding what goes through the ring
	Update        Phase = "update"        // applying the result of the ring: norm and optimizer
	Checkpoint    Phase = "checkpoint"    // sending or storing state
	Idle          Phase = "idle"          // nothing to do: before, after, and hardware on standby
	Preparation   Phase = "preparation"   // corpus, vocabulary, loading, calibration
	Evaluation    Phase = "evaluation"    // validation and test
	Joining       Phase = "joining"       // fetching the state of a running cluster
	Recovery      Phase = "recovery"      // agreeing on a new generation after a failure
	Recompute     Phase = "recompute"     // micro-batches that were computed before and lost
	Waiting       Phase = "waiting"       // for members, while the run has too few
)

var phases = []Phase{
	Compute, Synchronizing, Communication, Update, Checkpoint, Idle, Preparation, Evaluation, Joining, Recovery, Recompute, Waiting,
}

// Phases lists all phases in the order in which accounts show them.
func Phases() []Phase { return slices.Clone(phases) }

// Valid reports whether p is one of the phases.
func (p Phase) Valid() bool { return slices.Contains(phases, p) }

// Wasted reports whether energy of this phase is wasted: a run without failures would not
// have used it.
func (p Phase) Wasted() bool { return p == Recovery || p == Recompute || p == Waiting }

// OfStep reports whether energy of this phase went into the step that it is booked for.
func (p Phase) OfStep() bool {
	return p == Compute || p == Synchronizing || p == Communication || p == Update
}

// Method is how a number of microjoules was determined.
type Method string

// The methods, from the most to the least trustworthy.
const (
	Counter    Method = "counter"    // difference of two readings of an energy counter
	Integrated Method = "integrated" // sampled power, integrated over time
	Estimated  Method = "estimated"  // from usage (processor time, memory) and an assumed power
	Imputed    Method = "imputed"    // filled in for a time without a measurement
)

var methods = []Method{Counter, Integrated, Estimated, Imputed}

// Methods lists all methods in the order in which accounts show them.
func Methods() []Method { return slices.Clone(methods) }

// Valid reports whether m is one of the methods.
func (m Method) Valid() bool { return slices.Contains(methods, m) }

// Guess reports whether no sensor measured the number.
func (m Method) Guess() bool { return m == Estimated || m == Imputed }

// Scope is whose energy a meter measures.
type Scope string

// The scopes.
const (
	Process Scope = "process" // one process
	Host    Scope = "host"    // a whole machine, or a device of it; one owner per machine
)

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return s == Process || s == Host }
