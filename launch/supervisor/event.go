package supervisor

import (
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// Event is an input of the supervisor.
type Event interface{ event() }

type (
	// Begin starts all processes.
	Begin struct{ Limits cgroup.Limits }
	// Started answers Start.
	Started struct {
		ID  string
		PID int
	}
	// NotStarted answers Start: there is no process.
	NotStarted struct {
		ID  string
		Err error
	}
	// Ended says that a process has ended.
	Ended struct {
		ID     string
		PID    int
		Ending exit.Ending
		Limits cgroup.Limits
	}
	// Looked answers Look.
	Looked struct {
		Status *wire.Status      // of the coordinator; nil: none has answered
		Vitals map[string]Vitals // of the processes that were asked for and run
		Limits cgroup.Limits
	}
	// Wanted brings what the run is asked to do.
	Wanted struct{ Intent wire.Intent }
	// StopAsked brings the wish of the user that the run ends in order.
	StopAsked struct{}
	// StopAnswered answers AskStop; nil: the coordinator has accepted it.
	StopAnswered struct{ Err error }
	// KillAsked brings the wish of the user that the run ends at once.
	KillAsked struct{}
	// ServicesFailed says that etcd or NATS have ended or, where others run them, that
	// another process has the run.
	ServicesFailed struct{ Err error }
	// Done answers Do. LastStatus brings a status, if one came, and says whether the
	// last step is stored.
	Done struct {
		Job    Job
		Status *wire.Status
		Stored bool
		Err    error
	}
	// Tick says that time has passed. It comes at Next, or earlier.
	Tick struct{}
)

func (Begin) event()          {}
func (Started) event()        {}
func (NotStarted) event()     {}
func (Ended) event()          {}
func (Looked) event()         {}
func (Wanted) event()         {}
func (StopAsked) event()      {}
func (StopAnswered) event()   {}
func (KillAsked) event()      {}
func (ServicesFailed) event() {}
func (Done) event()           {}
func (Tick) event()           {}

// Vitals show how a process is that may not be able to say so itself.
type Vitals struct {
	State  byte          // of its first thread: R, S, D, T, t, Z, …
	Used   time.Duration // processor time of all threads
	Faults uint64        // pages that came from disk
}

// Job is work of the shell that takes a while. There is at most one at a time.
type Job string

// The jobs.
const (
	LastStatus Job = "last status" // fetch it, and wait for workers of other machines to end
	LastCall   Job = "last call"   // what the user does with a run that is done
	Answer     Job = "answer"      // wait until a service answers, for a while
	Flush      Job = "flush"       // send the last energy readings to the checkpoint service
)

// Level says how much a line of the log matters.
type Level int

// The levels, with the numbers that zap gives them.
const (
	Info Level = iota
	Warn
	Error
)

// Effect is an output of the supervisor. Effects are carried out in their order.
type Effect interface{ effect() }

type (
	// Start starts a process. It is answered by Started or NotStarted.
	Start struct {
		ID   string
		Role wire.Role
	}
	// Terminate asks a process to end.
	Terminate struct{ ID string }
	// Kill ends a process.
	Kill struct{ ID string }
	// Look asks for the status and for the vitals of some processes. It is answered by
	// Looked.
	Look struct{ Vitals []string }
	// AskStop asks the coordinator to stop the run. It is answered by StopAnswered.
	AskStop struct{ Reason string }
	// StopWorkers tells the workers directly to stop after their step.
	StopWorkers struct{}
	// Suspect tells the coordinator that the process of a worker has ended.
	Suspect struct{ Suspicion wire.Suspicion }
	// Show puts into the status of the run what only the supervisor knows.
	Show struct {
		State    wire.ProcessState
		Warnings []wire.Warning
	}
	// Tell is a line for the user and for the log.
	Tell struct{ Text string }
	// Log is a line for the log.
	Log struct {
		Level Level
		Text  string
	}
	// Do begins a job; Service is the one that is to answer. It is answered by Done.
	Do struct {
		Job     Job
		Service string
	}
	// Cancel breaks off the job.
	Cancel struct{}
	// End is the last effect: the run is over. What still runs is killed.
	End struct{ Err error }
)

func (Start) effect()       {}
func (Terminate) effect()   {}
func (Kill) effect()        {}
func (Look) effect()        {}
func (AskStop) effect()     {}
func (StopWorkers) effect() {}
func (Suspect) effect()     {}
func (Show) effect()        {}
func (Tell) effect()        {}
func (Log) effect()         {}
func (Do) effect()          {}
func (Cancel) effect()      {}
func (End) effect()         {}
