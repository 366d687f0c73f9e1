package wire

// Role is what a process does in its run. Registrations, heartbeats and the status
// hold it.
type Role string

// The roles.
const (
	RoleWorker      Role = "worker"      // computes gradients and applies them
	RoleCoordinator Role = "coordinator" // decides who trains what
	RoleCheckpoint  Role = "checkpoint"  // stores weights and the ledger
	RoleUp          Role = "up"          // `gramme up`: starts and watches the others
	RoleEvaluation  Role = "evaluation"  // measures losses on the validation split; meters only
)

// IDs of processes that a run has once. No worker can have them.
const (
	IDCoordinator = string(RoleCoordinator)
	IDCheckpoint  = string(RoleCheckpoint) // snapshots are asked of it by this name, and it suspects by it
	IDUp          = string(RoleUp)
)

// RunState is the state of a run as the status shows it.
type RunState string

// The states of a run.
const (
	StatePreparing RunState = "preparing" // corpus, calibration
	StateWaiting   RunState = "waiting"   // fewer workers than the minimum
	StateTraining  RunState = "training"  // steps are being computed
	StateStopping  RunState = "stopping"  // asked to stop; the last checkpoint is on its way
	StateStopped   RunState = "stopped"   // not running, steps are left
	StateDone      RunState = "done"      // all steps are done and stored
)

// ProcessState is what a process is doing. Heartbeats say it and the status shows it.
// `gramme up` may show a sentence instead, which says what service fails.
type ProcessState string

// The states of a worker, as its heartbeats say them.
const (
	WorkerJoining    ProcessState = "joining"     // registered and in no plan, ready to be a member
	WorkerFollowing  ProcessState = "following"   // in no plan: fetches the members' state and their entries, to be ready
	WorkerGreeting   ProcessState = "greeting"    // waits for the hellos of a generation
	WorkerCatchingUp ProcessState = "catching up" // fetches an entry or a snapshot
	WorkerComputing  ProcessState = "computing"   // computes micro-batches
	WorkerReducing   ProcessState = "reducing"    // waits for the sum of all members
	WorkerHolding    ProcessState = "holding"     // waits between two steps for the next plan
	WorkerBroken     ProcessState = "broken"      // lost the ring; waits for the next plan
	WorkerStopped    ProcessState = "stopped"     // the run has ended; waits until its checkpoint is stored
)

// The states of a worker that the coordinator finds, and shows in the status in place
// of those above.
const (
	WorkerRegistered ProcessState = "registered" // has sent no heartbeat yet
	WorkerRefused    ProcessState = "refused"    // cannot take part; Reason says why
	WorkerWaiting    ProcessState = "waiting"    // ready and not admitted yet; Reason says why
	WorkerDraining   ProcessState = "draining"   // a member that was asked to leave
)

// The states of other processes.
const (
	ProcessRunning ProcessState = "running"
	ProcessElected ProcessState = "elected" // the coordinator that leads
)

// Verb is what a user asks of the run.
type Verb string

// The verbs of Control.
const (
	VerbStop  Verb = "stop"  // stop after the next step, with a checkpoint
	VerbDrain Verb = "drain" // let Worker leave after the next step
	VerbScale Verb = "scale" // train with Count workers
)

// EventKind is what happened, as the ledger holds it.
type EventKind string

// The kinds of events.
const (
	EventMembership     EventKind = "membership" // a generation began with Members, for Reason
	EventBegun          EventKind = "begun"      // training began, or began again from a checkpoint: Lineage
	EventRefused        EventKind = "refused"    // a worker was not admitted
	EventMixed          EventKind = "mixed"      // workers of different arithmetic take part: the result is not reproducible
	EventReplicaDiffers EventKind = "divergence" // a replica differed from the others
)

// Evidence says why a process is taken for gone, or why a generation cannot go on. It
// begins with one of the kinds below where the case is one of them, and is a sentence
// for people otherwise.
type Evidence string

// The kinds of evidence.
const (
	EvidenceEnded        Evidence = "process ended"                             // its parent says so, and how
	EvidenceCrashed      Evidence = "process crashed"                           // likewise
	EvidenceSeenDead     Evidence = "its process had ended when it was seen"    // a registration of a process whose end is known
	EvidenceReplaced     Evidence = "a new process took its place"              // another incarnation holds its ID
	EvidenceUnregistered Evidence = "its registration ended"                    // its lease expired, and it is silent
	EvidenceDeaf         Evidence = "it receives no messages, not even its own" // it sends heartbeats and hears none
	EvidenceSilent       Evidence = "no heartbeat"                              // for how long
	EvidenceFinished     Evidence = "it has finished"                           // it left when the run had ended: no failure
)

// With adds what is known besides the kind.
func (e Evidence) With(detail string) Evidence { return e + ": " + Evidence(detail) }

// WarningKind names what a run warns of.
type WarningKind string

// The kinds of warnings.
const (
	WarnDivergence         WarningKind = "divergence"          // the loss is not finite or far above where it began, or steps are skipped
	WarnMemory             WarningKind = "memory"              // the system kills processes for want of memory
	WarnCommunicationBound WarningKind = "communication-bound" // fewer workers are faster
	WarnHungComputation    WarningKind = "hung-computation"    // a worker's computation did not return
	WarnCheckpoint         WarningKind = "checkpoint"          // the newest checkpoint is damaged or missing
	WarnRestarts           WarningKind = "restarts"            // a process crashes again and again
)
