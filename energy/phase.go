package energy

import "slices"

// Phase is what a process was doing.
type Phase string

// The phases. A worker is always in exactly one.
const (
	Compute       Phase = "compute"       // forward and backward passes that count
	Communication Phase = "communication" // the ring, and applying what it gave
	Checkpoint    Phase = "checkpoint"    // giving or storing state
	Idle          Phase = "idle"          // nothing to do: before, after, and hardware that stands by
	Preparation   Phase = "preparation"   // corpus, vocabulary, loading, calibration
	Evaluation    Phase = "evaluation"    // validation and test
	Joining       Phase = "joining"       // fetching the state of a run that goes on
	Recovery      Phase = "recovery"      // agreeing on a new generation after a failure
	Recompute     Phase = "recompute"     // micro-batches that were computed before and lost
	Waiting       Phase = "waiting"       // held up by fewer members than the run wants
)

var phases = []Phase{
	Compute, Communication, Checkpoint, Idle, Preparation, Evaluation, Joining, Recovery, Recompute, Waiting,
}

// Phases lists all phases in the order in which accounts show them.
func Phases() []Phase { return slices.Clone(phases) }

// Valid reports whether p is one of the phases.
func (p Phase) Valid() bool { return slices.Contains(phases, p) }

// Wasted reports whether energy of this phase did no good: a run without
// failures would not have spent it.
func (p Phase) Wasted() bool { return p == Recovery || p == Recompute || p == Waiting }

// Method is how a number of microjoules came about.
type Method string

// The methods, from the most to the least trustworthy.
const (
	Counter    Method = "counter"    // difference of two readings of an energy counter
	Integrated Method = "integrated" // sampled power, integrated over time
	Estimated  Method = "estimated"  // from what was used (processor time, memory) and assumed power
	Imputed    Method = "imputed"    // filled in for a time in which the meter gave nothing
)

var methods = []Method{Counter, Integrated, Estimated, Imputed}

// Methods lists all methods in the order in which accounts show them.
func Methods() []Method { return slices.Clone(methods) }

// Valid reports whether m is one of the methods.
func (m Method) Valid() bool { return slices.Contains(methods, m) }

// Guess reports whether no sensor stands behind the number.
func (m Method) Guess() bool { return m == Estimated || m == Imputed }

// Scope is whose energy a meter sees.
type Scope string

// The scopes.
const (
	Process Scope = "process" // one process
	Host    Scope = "host"    // a whole machine, or a device of it; one owner per machine
)

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return s == Process || s == Host }
