package ledger

import (
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
)

// Account is the content of a verified log. Amounts of energy are microjoules.
type Account struct {
	Run       string    `json:"run"`
	SpecHash  string    `json:"spec_hash"`
	Software  string    `json:"software,omitempty"` // the first build; Builds lists all
	PublicKey string    `json:"public_key"`         // the first key, which identifies the log
	Entries   int64     `json:"entries"`            // covered by the head
	Root      string    `json:"root"`               // base64
	Behind    int64     `json:"entriesBehind"`      // entries after those that the head covers: never acknowledged, not counted here
	From      time.Time `json:"from"`               // of the first entry and of the last
	To        time.Time `json:"to"`

	Total    int64                   `json:"total_uj"`
	ByPhase  map[energy.Phase]int64  `json:"by_phase_uj"`
	ByHost   map[string]int64        `json:"by_host_uj"`
	ByKind   map[string]int64        `json:"by_kind_uj"` // of device
	ByMethod map[energy.Method]int64 `json:"by_method_uj"`
	ByWorker map[string]int64        `json:"by_worker_uj"`
	Devices  []Device                `json:"devices"`
	Wasted   int64                   `json:"wasted_uj"`     // a run without failures would not have used it
	LostWork int64                   `json:"lost_work_uj"`  // part of Wasted: used for steps that were recomputed after all members were lost
	Guessed  int64                   `json:"guessed_uj"`    // not measured by a sensor
	Share    number.Float            `json:"guessed_share"` // Guessed / Total, 0 to 1

	Readings   int64        `json:"readings"`
	Gaps       []Gap        `json:"gaps"`
	GapSeconds number.Float `json:"gap_seconds"` // of all gaps, meter by meter
	Lost       uint64       `json:"lost"`        // records that never arrived, as stated by a gap after them

	Charged []Charged `json:"charged,omitempty"` // hosts with counters, and which run is charged for what they count

	Steps       uint64       `json:"steps"`          // different steps that were committed
	Repeated    uint64       `json:"repeated_steps"` // committed again after a resume
	Samples     uint64       `json:"samples"`        // of Steps; repeated steps count once
	Tokens      uint64       `json:"tokens"`
	Skipped     uint64       `json:"skipped_steps,omitempty"`     // steps that changed nothing; repeated steps count each time
	FirstLoss   StepLoss     `json:"first_loss_of_step,omitzero"` // losses of single steps, which every log has
	LastLoss    StepLoss     `json:"last_loss_of_step,omitzero"`
	First       *MeanLoss    `json:"first_losses,omitempty"` // means over steps, nil in logs without them
	Last        *MeanLoss    `json:"last_losses,omitempty"`
	Builds      []Build      `json:"builds"`          // that computed the steps
	Generation  uint64       `json:"generation"`      // the newest
	Mixed       bool         `json:"mixed,omitempty"` // workers with different numerics took part: not reproducible
	Memberships int64        `json:"memberships"`
	Resumes     []Resume     `json:"resumes"`
	Checkpoints []Saved      `json:"checkpoints"`
	Carbon      *Carbon      `json:"carbon,omitempty"` // nil: no factor is known
	Notes       []NotedEntry `json:"notes"`
	Handovers   []HandedOver `json:"handovers,omitempty"` // changes of the signing key

	counted counted
}

// Holds reports whether a reading or gap of this identity is in the log.
func (a *Account) Holds(k energy.Key) bool { return a.counted.hasRecord(k) }

// Device is the energy of one meter on one host.
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

// Resume says that the run went on.
type Resume struct {
	Entry    int64  `json:"entry"`
	Step     uint64 `json:"step"`
	From     *Tree  `json:"from,omitempty"`     // proven to be a prefix
	Software string `json:"software,omitempty"` // the build that went on, if the log has it
}

// Saved is a checkpoint entry.
type Saved struct {
	Entry int64 `json:"entry"`
	Checkpoint
}

// HandedOver says that another key signs from an entry on. Signed says that the previous
// key vouches for it.
type HandedOver struct {
	Entry  int64  `json:"entry"`
	From   string `json:"from"`
	To     string `json:"to"`
	Signed bool   `json:"signed"`
	Reason string `json:"reason"`
}

// NotedEntry is a note and its entry.
type NotedEntry struct {
	Entry int64 `json:"entry"`
	Note
}

// Carbon is the carbon of the energy by the newest factors.
type Carbon struct {
	Grams   number.Float    `json:"g_co2e"`
	Factors []energy.Factor `json:"factors"` // the factors used, by host
}
