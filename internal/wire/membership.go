package wire

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/number"
)

// Registration is what a worker writes under its lease.
type Registration struct {
	ID          string       `json:"id"`          // stable name, chosen at the start
	Incarnation string       `json:"incarnation"` // new at every start of the process, and at every return to the run
	Host        string       `json:"host"`
	BootID      string       `json:"boot_id"`
	PID         int          `json:"pid"`
	Device      string       `json:"device"`
	Mailbox     string       `json:"mailbox"` // URL of its own NATS server
	Threads     int          `json:"threads"`
	Build       string       `json:"build"`
	SpecHash    string       `json:"spec_hash"`
	CorpusHash  string       `json:"corpus_hash"`
	Fingerprint string       `json:"fingerprint"`     // numerics: hash of the gradient of one fixed micro-batch
	Origin      Numerics     `json:"origin,omitzero"` // of the state that it brings
	Speed       number.Float `json:"speed"`           // micro-batches a second, measured
	Step        uint64       `json:"step"`            // newest applied step at registration
	Ring        string       `json:"ring,omitempty"`  // RingBroker: this worker and another cannot connect to each other's mailboxes
	Draining    bool         `json:"draining"`        // asked to leave at the next step boundary (SIGTERM)
	Started     time.Time    `json:"started"`
}

// Numerics say by which arithmetic a state was computed.
type Numerics struct {
	Fingerprint string `json:"fingerprint,omitempty"` // that of the run
	Mixed       bool   `json:"mixed,omitempty"`       // workers of other numerics took part
}

// How the frames of a ring travel.
const (
	RingDirect = "direct" // from mailbox to mailbox
	RingBroker = "broker" // through the NATS of the run
)

// How the frames of one worker reach the next.
const (
	LinkMemory = "memory" // both map the same memory
	LinkNATS   = "nats"   // to the next one's mailbox, or through the NATS of the run
)

// Member is a place in the ring.
type Member struct {
	ID          string `json:"id"`
	Incarnation string `json:"incarnation"`
	Mailbox     string `json:"mailbox"`
	Share       int    `json:"share"` // micro-batches of a step
}

// Plan says who trains what. It is a value: the same inputs give the same plan.
type Plan struct {
	Generation   uint64   `json:"generation"`
	Members      []Member `json:"members"` // ring order; the rank is the index
	MicroBatches int      `json:"micro_batches"`
	Reason       string   `json:"reason"`                // why this generation began
	Fingerprint  string   `json:"fingerprint,omitempty"` // numerics of the run: that of the first worker admitted
	Mixed        bool     `json:"mixed,omitempty"`       // members of other numerics take part, or took part
	Ring         string   `json:"ring,omitempty"`        // how its members reach each other: "" is RingDirect
	// Session is new whenever no member of the last plan is in this one. Keys of events
	// hold it, because steps and generations may come again.
	Session     string    `json:"session,omitempty"`
	Since       time.Time `json:"since,omitzero"`   // when this generation was decided on
	Stored      uint64    `json:"stored,omitempty"` // newest durable step then
	LostMembers bool      `json:"lost,omitempty"`   // members of the last generation were lost: they did not leave between two steps
	// Patience is for how many seconds the slowest link of a member may be silent; 0: for
	// the failure timeout.
	Patience number.Float `json:"patience,omitempty"`
	// Events are the ledger's entries for this plan, and those for earlier plans that
	// were not acknowledged yet: the next leader sends them again.
	Events []Event `json:"events,omitempty"`
}

// UnmeasuredTimeouts is for how many failure timeouts a link may be silent that is not
// measured yet: before that, a slow one looks like one that is cut.
const UnmeasuredTimeouts = 10

// SilenceLimit is Patience as a duration.
func (p Plan) SilenceLimit() time.Duration {
	return time.Duration(float64(p.Patience) * float64(time.Second))
}

// Rank returns the place of one incarnation in the ring, or -1.
func (p Plan) Rank(id, incarnation string) int {
	for r, m := range p.Members {
		if m.ID == id && m.Incarnation == incarnation {
			return r
		}
	}
	return -1
}

// Intent is what users asked of the run.
type Intent struct {
	Stop    bool     `json:"stop"`              // stop after a step that all agree on, checkpoint, exit
	Reason  string   `json:"reason"`            // for log and ledger
	Drain   []string `json:"drain,omitempty"`   // incarnations asked to leave after the next step
	Workers int      `json:"workers,omitempty"` // wanted size, by a scale; 0: the most of the spec
	Scales  uint64   `json:"scales,omitempty"`  // how often it was scaled: `gramme up` starts processes after each
}

// Lineage says from where a state was trained: from the first generation of which no
// member brought a trained state. Only its members can tell: a plan may name one that had
// ended. It belongs to every state that is trained from there.
type Lineage struct {
	Session    string    `json:"session"`
	Generation uint64    `json:"generation"` // 0: the state was not trained yet
	From       uint64    `json:"from"`       // newest step of its members
	Since      time.Time `json:"since"`      // when that generation was decided on: earlier work on later steps is lost
}

// Event is the ledger's entry of a lineage. Several sides may report it.
func (l Lineage) Event() Event {
	return Event{Key: fmt.Sprintf("begun/%s/%d", l.Session, l.Generation), Kind: EventBegun, Generation: l.Generation, Lineage: &l}
}

// Hello begins a generation: each member reports its state to all others.
type Hello struct {
	Generation  uint64  `json:"generation"`
	ID          string  `json:"id"`
	Incarnation string  `json:"incarnation"`
	Rank        int     `json:"rank"`
	Applied     uint64  `json:"applied"`          // newest applied step
	Digest      string  `json:"digest"`           // of the state after it
	Next        uint64  `json:"next"`             // the step that Done belongs to: Applied+1
	Done        []int   `json:"done,omitempty"`   // micro-batches whose sums it holds
	Unstarted   []int   `json:"left,omitempty"`   // those that earlier generations assigned to it and that it has not started
	LostMembers bool    `json:"lost,omitempty"`   // members have been lost since it last began a step
	NextShare   []int   `json:"later,omitempty"`  // those of the step after Next, as the last generation assigned them
	Stopped     bool    `json:"stopped"`          // the run ends with Applied: all steps done, or an agreed stop
	Lineage     Lineage `json:"begun,omitzero"`   // from where its state was trained
	Stored      uint64  `json:"stored,omitempty"` // newest durable step that it knows of
	Answer      bool    `json:"answer"`           // sent in answer to another's: no answer is due
}

// Suspicion is evidence that a member is gone, or without a Subject that a
// generation cannot go on.
type Suspicion struct {
	Generation  uint64   `json:"generation"`
	From        string   `json:"from"`    // a member, IDCheckpoint, or the parent of a process
	Subject     string   `json:"subject"` // the worker that is suspected
	Incarnation string   `json:"incarnation"`
	PID         int      `json:"pid,omitempty"` // instead of the incarnation, where that is not known
	Evidence    Evidence `json:"evidence"`
	Final       bool     `json:"final"`          // the process is known to have ended: its parent says so
	Hung        bool     `json:"hung,omitempty"` // the subject says so itself: what it computes does not return, and it ends
}

// Beat is a worker's heartbeat, after an applied step or when time passes.
type Beat struct {
	ID           string       `json:"id"`
	Incarnation  string       `json:"incarnation"`
	Generation   uint64       `json:"generation"`
	Rank         int          `json:"rank"`
	State        ProcessState `json:"state"`
	Step         uint64       `json:"step"` // newest applied
	Lineage      Lineage      `json:"begun,omitzero"`
	Loss         number.Float `json:"loss"`
	MLMLoss      number.Float `json:"mlm_loss"`
	NSPLoss      number.Float `json:"nsp_loss"`
	MLMAccuracy  number.Float `json:"mlm_accuracy"`
	NSPAccuracy  number.Float `json:"nsp_accuracy"`
	LearningRate number.Float `json:"learning_rate"`
	Tokens       uint64       `json:"tokens"` // of the whole step, all workers together
	StepSeconds  number.Float `json:"step_seconds"`
	Speed        number.Float `json:"speed"`  // micro-batches a second
	Joules       number.Float `json:"joules"` // of this process since it started
	Watts        number.Float `json:"watts"`
	Skipped      bool         `json:"skipped,omitempty"` // the entry held a NaN or an infinity
	// Warning says that the training diverges, and what to do. Diverged says that the
	// run stops for it with the next step. All members derive both from the state.
	Warning    string       `json:"warning,omitempty"`
	Diverged   bool         `json:"diverged,omitempty"`
	Clamped    int64        `json:"clamped,omitempty"`
	Deaf       bool         `json:"deaf,omitempty"` // it received nothing for a failure timeout, not even its own heartbeats
	Reducing   number.Float `json:"reducing"`       // seconds of the step spent in the ring
	Goroutines int          `json:"goroutines,omitempty"`
	Link       string       `json:"link,omitempty"` // LinkMemory or LinkNATS; "": it sends none
	// Sent is when it was sent, by the clock of this worker, in nanoseconds. A worker
	// receives its own heartbeats and measures the round trip: Patience is for how many
	// seconds its link may be silent, at least for the failure timeout; 0: it is not
	// measured yet.
	Sent     int64        `json:"sent,omitempty"`
	Patience number.Float `json:"patience,omitempty"`
	Behind   bool         `json:"behind,omitempty"` // outside the ring: it cannot apply entries as fast as the members do
}

// Refusal answers the heartbeat of a worker that cannot take part.
type Refusal struct {
	Incarnation string `json:"incarnation"`
	Reason      string `json:"reason"`
}

// MailboxProbe asks all workers whether they can connect to the mailbox of a worker that is
// about to register.
type MailboxProbe struct {
	Mailbox string `json:"mailbox"`
}

// ProbeAnswer answers a MailboxProbe with the mailbox of the answering worker, and why it
// cannot connect to the other, if so.
type ProbeAnswer struct {
	Mailbox string `json:"mailbox"`
	Error   string `json:"error,omitempty"`
}

// ProcessBeat is the heartbeat of a process other than a worker, once a second.
type ProcessBeat struct {
	Role       Role         `json:"role"`
	ID         string       `json:"id"`
	PID        int          `json:"pid"`
	Host       string       `json:"host"`
	State      ProcessState `json:"state"`
	Joules     number.Float `json:"joules"` // of this process since it started
	Watts      number.Float `json:"watts"`
	Goroutines int          `json:"goroutines,omitempty"`
	// Warnings hold until a later heartbeat lacks them.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Control is a request of a user.
type Control struct {
	Verb   Verb   `json:"verb"`
	Worker string `json:"worker,omitempty"`
	Count  int    `json:"count,omitempty"`
	Reason string `json:"reason,omitempty"`
}
