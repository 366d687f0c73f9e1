package exit

// Manner is how a process ended.
type Manner int

// The manners of an end.
const (
	Succeeded Manner = iota // exit code 0
	Reported                // the process said itself why it ends
	Killed                  // SIGKILL, by whomever
	Crashed                 // any other end
)

// Ending is the end of a process, as far as it can be known.
type Ending struct {
	Manner Manner
	Report Report // where the process Reported
	Words  string // a line that says why, for people
	Peak   int64  // bytes of memory that it held at most; 0: not known
}
