package wire

import "github.com/gramme-project/gramme/internal/number"

// Status is the answer to `gramme status`. An unknown number is null where scripts rely on
// its key, and left out elsewhere: 0 is a measurement.
type Status struct {
	Run             string          `json:"run"`
	State           RunState        `json:"state"`
	Step            uint64          `json:"step"`
	Steps           uint64          `json:"steps"`
	Generation      uint64          `json:"generation"`
	Ring            string          `json:"ring,omitempty"`   // how the frames of that generation travel
	Reason          string          `json:"reason,omitempty"` // of the newest generation, or why the run waits
	Loss            number.Optional `json:"loss"`
	MLMLoss         number.Optional `json:"mlm_loss,omitzero"`
	NSPLoss         number.Optional `json:"nsp_loss,omitzero"`
	MLMAccuracy     number.Optional `json:"mlm_accuracy,omitzero"`
	NSPAccuracy     number.Optional `json:"nsp_accuracy,omitzero"`
	LearningRate    number.Optional `json:"learning_rate,omitzero"`
	TokensPerSecond number.Optional `json:"tokens_per_second"`
	// LossSteps is set where the losses are means over so many newest steps, as for a run
	// that is not up. Otherwise they are those of the newest step.
	LossSteps   uint64          `json:"loss_steps,omitempty"`
	Tokens      uint64          `json:"tokens,omitempty"` // since this coordinator leads; all of them for a run that is not up
	Watts       number.Optional `json:"watts"`
	Joules      number.Optional `json:"joules,omitzero"` // of all processes since the cluster started
	StepSeconds number.Optional `json:"step_seconds,omitzero"`
	EtaSeconds  number.Optional `json:"eta_seconds,omitzero"`
	Checkpoint  uint64          `json:"checkpoint"` // newest durable step
	Mixed       bool            `json:"mixed,omitempty"`
	Choices     []string        `json:"choices,omitempty"` // what measurements chose for the run, and why; by the folder of the run
	Warnings    []Warning       `json:"warnings,omitempty"`
	Processes   []Process       `json:"processes"`
}

// Members counts the workers in the ring.
func (s Status) Members() (n int) {
	for _, p := range s.Processes {
		if p.Member() {
			n++
		}
	}
	return n
}

// Member reports whether the process is a worker in the ring.
func (p Process) Member() bool { return p.Role == RoleWorker && p.Rank >= 0 }

// Warning is something that a user should know about a run that goes on. There is at most
// one of each kind and subject at a time.
type Warning struct {
	Kind    WarningKind `json:"kind"`
	Subject string      `json:"subject,omitempty"` // the worker or process concerned; "": the run
	Text    string      `json:"text"`              // a sentence that says what happens and what to do
}

// Process is one process of the cluster.
type Process struct {
	Role         Role         `json:"role"`
	ID           string       `json:"id"`
	PID          int          `json:"pid"`
	Host         string       `json:"host"`
	Rank         int          `json:"rank"` // -1 outside the ring
	State        ProcessState `json:"state"`
	Reason       string       `json:"reason,omitempty"` // why a worker is refused or waits
	MicroBatches int          `json:"micro_batches"`
	Step         uint64       `json:"step,omitempty"`
	Speed        number.Float `json:"speed,omitempty"` // micro-batches a second
	Slow         number.Float `json:"slow,omitempty"`  // its part of the members' median speed, where that is clearly less
	Goroutines   int          `json:"goroutines,omitempty"`
	Link         string       `json:"link,omitempty"` // how frames reach the next member: LinkMemory or LinkNATS
}
