package ledger

import (
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
)

// Account is what a verified log says. Amounts of energy are microjoules.
type Account struct {
	Run       string    `json:"run"`
	SpecHash  string    `json:"spec_hash"`
	Software  string    `json:"software,omitempty"` // the first build; Builds has all
	PublicKey string    `json:"public_key"`         // the first, by which the log is known
	Entries   int64     `json:"entries"`            // that the head covers
	Root      string    `json:"root"`               // base64
	Behind    int64     `json:"behind"`             // entries behind the head: never acknowledged, not counted here
	From      time.Time `json:"from"`               // of the first entry and of the last
	To        time.Time `json:"to"`

	Total    int64                   `json:"total_uj"`
	ByPhase  map[energy.Phase]int64  `json:"by_phase_uj"`
	ByHost   map[string]int64        `json:"by_host_uj"`
	ByKind   map[string]int64        `json:"by_kind_uj"` // of device
	ByMethod map[energy.Method]int64 `json:"by_method_uj"`
	ByWorker map[string]int64        `json:"by_worker_uj"`
	Devices  []Device                `json:"devices"`
	Wasted   int64                   `json:"wasted_uj"`     // a run without failures would not have spent it
	LostWork int64                   `json:"lost_work_uj"`  // of Wasted: spent on steps that had to be computed once more after everything ended
	Guessed  int64                   `json:"guessed_uj"`    // no sensor stands behind it
	Share    number.Float            `json:"guessed_share"` // Guessed of Total, 0 to 1

	Readings   int64        `json:"readings"`
	Gaps       []Gap        `json:"gaps"`
	GapSeconds number.Float `json:"gap_seconds"` // of all gaps, meter by meter
	Lost       uint64       `json:"lost"`        // records that never arrived, as a gap after them states

	Charged []Charged `json:"charged,omitempty"` // hosts with counters, and which run is charged for what they count

	Steps       uint64       `json:"steps"`          // different steps that were committed
	Repeated    uint64       `json:"repeated_steps"` // committed again after a resume
	Samples     uint64       `json:"samples"`        // of Steps; of a step that was repeated, once
	Tokens      uint64       `json:"tokens"`
	Skipped     uint64       `json:"skipped_steps,omitempty"`     // that changed nothing, as entries say; of a step that was repeated, each time
	FirstLoss   StepLoss     `json:"first_loss_of_step,omitzero"` // the losses that every log holds, each of one step
	LastLoss    StepLoss     `json:"last_loss_of_step,omitzero"`
	First       *MeanLoss    `json:"first_losses,omitempty"` // means over steps, nil in logs that hold none
	Last        *MeanLoss    `json:"last_losses,omitempty"`
	Builds      []Build      `json:"builds"`          // by which the steps were computed
	Generation  uint64       `json:"generation"`      // the newest
	Mixed       bool         `json:"mixed,omitempty"` // workers of different arithmetic took part: not reproducible
	Memberships int64        `json:"memberships"`
	Resumes     []Resume     `json:"resumes"`
	Checkpoints []Saved      `json:"checkpoints"`
	Carbon      *Carbon      `json:"carbon,omitempty"` // nil: no factor is known
	Notes       []NotedEntry `json:"notes"`
	Handovers   []HandedOver `json:"handovers,omitempty"` // changes of the key that signs

	seen seen // that counts once
}

// Holds reports whether a reading or gap of this identity is in the log.
func (a *Account) Holds(k energy.Key) bool { return a.seen.hasRecord(k) }

// Device is the energy of one meter's name on one host.
type Device struct {
	Host    string `json:"host"`
	Meter   string `json:"meter"`
	Kind    string `json:"kind"`
	MicroJ  int64  `json:"uj"`
	Guessed int64  `json:"guessed_uj"`
}

// Gap is a gap that an entry states.
type Gap struct {
	Entry int64 `json:"entry"`
	energy.Gap
}

// Resume is that the run went on.
type Resume struct {
	Entry    int64  `json:"entry"`
	Step     uint64 `json:"step"`
	From     *Tree  `json:"from,omitempty"`     // proven to be a prefix
	Software string `json:"software,omitempty"` // of the build that went on, where the log says so
}

// Saved is a checkpoint entry.
type Saved struct {
	Entry int64 `json:"entry"`
	Checkpoint
}

// HandedOver is that another key signs from an entry on. Signed says that the key
// before vouches for it.
type HandedOver struct {
	Entry  int64  `json:"entry"`
	From   string `json:"from"`
	To     string `json:"to"`
	Signed bool   `json:"signed"`
	Reason string `json:"reason"`
}

// NotedEntry is a note and where it stands.
type NotedEntry struct {
	Entry int64 `json:"entry"`
	Note
}

// Carbon is what the energy comes to with the newest factors.
type Carbon struct {
	Grams   number.Float    `json:"g_co2e"`
	Factors []energy.Factor `json:"factors"` // that were used, by host
}
