package ledger

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
)

// Version of the entry schema.
const Version = 1

// Type says which body an entry has.
type Type string

// The types of entries.
const (
	TypeStarted    Type = "started"
	TypeResumed    Type = "resumed"
	TypeReading    Type = "reading"
	TypeGap        Type = "gap"
	TypeMembership Type = "membership"
	TypeLineage    Type = "begun"
	TypeSteps      Type = "steps"
	TypeCheckpoint Type = "checkpoint"
	TypeCarbon     Type = "carbon"
	TypeNote       Type = "note"
	TypeHandover   Type = "handover"
)

// Entry is one line of the log. Exactly one body is set. Append fills in the
// version, index, link, type and, where it is zero, the time.
type Entry struct {
	Version int       `json:"v"`
	Index   int64     `json:"index"`
	Prev    string    `json:"prev"` // first 8 bytes of the hash of the previous line: locates a fault
	Time    time.Time `json:"time"` // when it was appended; only a label
	Type    Type      `json:"type"`
	Key     string    `json:"key,omitempty"` // counted once per key

	Started    *Started        `json:"started,omitempty"`
	Resumed    *Resumed        `json:"resumed,omitempty"`
	Reading    *energy.Reading `json:"reading,omitempty"`
	Gap        *energy.Gap     `json:"gap,omitempty"`
	Membership *Membership     `json:"membership,omitempty"`
	Lineage    *Lineage        `json:"begun,omitempty"`
	Steps      *Steps          `json:"steps,omitempty"`
	Checkpoint *Checkpoint     `json:"checkpoint,omitempty"`
	Carbon     *energy.Factor  `json:"carbon,omitempty"`
	Note       *Note           `json:"note,omitempty"`
	Handover   *Handover       `json:"handover,omitempty"`
}

// Started is the first entry of every log.
type Started struct {
	Run       string `json:"run"`
	SpecHash  string `json:"spec_hash"`
	PublicKey string `json:"public_key"` // filled in by Append
	Software  string `json:"software,omitempty"`
}

// Resumed says from where a run went on, with the proof that its log extends the log of
// the checkpoint from which it goes on.
type Resumed struct {
	Prior Tree     `json:"prior"`           // the log before this entry
	Step  uint64   `json:"step"`            // of the checkpoint; 0: from the beginning
	From  *Tree    `json:"from,omitempty"`  // the log when that checkpoint was made
	Proof []string `json:"proof,omitempty"` // RFC 6962 consistency proof of From in Prior, base64 hashes
	// Software is the build that goes on; empty in logs of older builds.
	Software string `json:"software,omitempty"`
}

// Tree is a state of the log.
type Tree struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // base64
}

// Membership lists the workers that train from a generation on.
type Membership struct {
	Generation uint64   `json:"generation"`
	Members    []string `json:"members"`
	Reason     string   `json:"reason"`
}

// Lineage says that a lineage began after step From, at the time Since of the
// coordinator's clock: no member had a trained state. Session and Generation name it.
type Lineage struct {
	Session    string    `json:"session"`
	Generation uint64    `json:"generation"`
	From       uint64    `json:"from"`
	Since      time.Time `json:"since"`
}

// Steps says that the steps FirstStep to LastStep were committed.
type Steps struct {
	FirstStep  uint64       `json:"first_step"`
	LastStep   uint64       `json:"last_step"`
	Generation uint64       `json:"generation"`
	Samples    uint64       `json:"samples"`
	Tokens     uint64       `json:"tokens"`
	Loss       number.Float `json:"loss"` // MLM + NSP of LastStep alone
	Losses     *Losses      `json:"losses,omitempty"`
	Skipped    uint64       `json:"skipped,omitempty"` // steps that changed nothing: a gradient was not finite
}

// Losses are means over the steps of a range whose loss was finite; logs of older builds
// have none.
type Losses struct {
	Steps uint64       `json:"steps"` // number of those steps
	MLM   number.Float `json:"mlm"`
	NSP   number.Float `json:"nsp"`
}

// Checkpoint names a checkpoint and the hash of its manifest.
type Checkpoint struct {
	Step     uint64 `json:"step"`
	Folder   string `json:"folder"`          // its name under RUN/checkpoints
	Manifest string `json:"manifest_sha256"` // hex
}

// Kinds of notes.
const (
	NoteQuarantine = "quarantine"        // data or a checkpoint was set aside
	NoteDivergence = "divergence"        // replicas differed
	NoteMixed      = "mixed"             // workers with different numerics: the result is not reproducible
	NoteRefused    = "refused"           // a worker was not admitted
	NoteTraining   = "training diverged" // the loss diverged, not the replicas
	NoteRemark     = "remark"
)

// Note is a remark for readers of the account.
type Note struct {
	Kind       string `json:"kind"`
	Text       string `json:"text"`
	Worker     string `json:"worker,omitempty"`
	Step       uint64 `json:"step,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
}

// FromRecord returns the entry of a worker's record.
func FromRecord(r energy.Record) Entry { return Entry{Reading: r.Reading, Gap: r.Gap} }

// body returns the type of the entry's body, and checks the body.
func (e *Entry) body() (Type, error) {
	var found []Type
	var err error
	has := func(t Type, set bool, validate func() error) {
		if set {
			found = append(found, t)
			if err == nil && validate != nil {
				err = validate()
			}
		}
	}
	has(TypeStarted, e.Started != nil, func() error { return e.Started.validate() })
	has(TypeResumed, e.Resumed != nil, func() error { return e.Resumed.validate() })
	has(TypeReading, e.Reading != nil, func() error { return e.Reading.Validate() })
	has(TypeGap, e.Gap != nil, func() error { return e.Gap.Validate() })
	has(TypeMembership, e.Membership != nil, nil)
	has(TypeLineage, e.Lineage != nil, func() error { return e.Lineage.validate() })
	has(TypeSteps, e.Steps != nil, func() error { return e.Steps.validate() })
	has(TypeCheckpoint, e.Checkpoint != nil, func() error { return e.Checkpoint.validate() })
	has(TypeCarbon, e.Carbon != nil, func() error { return e.Carbon.Validate() })
	has(TypeNote, e.Note != nil, nil)
	has(TypeHandover, e.Handover != nil, func() error { return e.Handover.validate() })
	if len(found) != 1 {
		return "", fmt.Errorf("an entry has one body, this has %d", len(found))
	}
	return found[0], err
}

func (s *Started) validate() error {
	if s.Run == "" {
		return fmt.Errorf("started: no run")
	}
	return nil
}

func (l *Lineage) validate() error {
	if l.Session == "" || l.Generation == 0 || l.Since.IsZero() {
		return fmt.Errorf("begun after step %d: no session, no generation or no time", l.From)
	}
	return nil
}

func (s *Steps) validate() error {
	if s.FirstStep > s.LastStep {
		return fmt.Errorf("steps %d to %d run backwards", s.FirstStep, s.LastStep)
	}
	if n := s.LastStep - s.FirstStep + 1; s.Skipped > n || s.Losses != nil && (s.Losses.Steps == 0 || s.Losses.Steps > n) {
		return fmt.Errorf("steps %d to %d: more are skipped or have a loss than there are, or none has", s.FirstStep, s.LastStep)
	}
	if s.LastStep >= 1<<62 || s.Samples >= 1<<62 || s.Tokens >= 1<<62 {
		return fmt.Errorf("steps %d to %d: numbers that no run reaches", s.FirstStep, s.LastStep)
	}
	return nil
}

func (c *Checkpoint) validate() error {
	if c.Folder == "" || len(c.Manifest) != 64 {
		return fmt.Errorf("checkpoint of step %d: no folder or no SHA-256", c.Step)
	}
	return nil
}

// record returns the identity of the entry's record, if it has one.
func (e *Entry) record() (energy.Key, bool) {
	switch {
	case e.Reading != nil:
		return e.Reading.Key(), true
	case e.Gap != nil:
		return e.Gap.Key(), true
	}
	return energy.Key{}, false
}
