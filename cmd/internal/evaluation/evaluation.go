// Package evaluation holds the measurements of a held-out split and of speed that the
// worker's binary prints and `gramme up` reads and stores.
package evaluation

import "github.com/gramme-project/gramme/internal/number"

// Measures are means over the predictions and the pairs of a split.
type Measures struct {
	MLMLoss     number.Float `json:"mlm_loss"`
	MLMAccuracy number.Float `json:"mlm_accuracy"`
	NSPLoss     number.Float `json:"nsp_loss"`
	NSPAccuracy number.Float `json:"nsp_accuracy"`
	Predictions int          `json:"predictions"`
	Pairs       int          `json:"pairs"`
	// NSPChance is the accuracy of always giving the more frequent answer; 0 in files of
	// earlier versions.
	NSPChance number.Float `json:"nsp_chance,omitempty"`
}

// Result compares the model at its start with the newest checkpoint.
type Result struct {
	Step   uint64   `json:"step"`
	Split  string   `json:"split"`
	Start  Measures `json:"start"`
	Newest Measures `json:"newest"`
	// NotFinite is how many of the newest weights are not finite. Such a model is not
	// measured: it has no answers.
	NotFinite int `json:"weights_not_finite,omitempty"`
	Weights   int `json:"weights,omitempty"` // all that there are
	// TokensPerSecond is how fast the training was that led there.
	TokensPerSecond number.Float `json:"tokens_per_second,omitempty"`
}

// Rates are the speed of one worker by precision: how long a micro-batch and the update of a
// step take where nothing else disturbs.
type Rates struct {
	MicroBatchSeconds map[string]number.Float `json:"micro_batch_seconds"`
	UpdateSeconds     map[string]number.Float `json:"update_seconds"`
	// AnyThreads says that the number of threads does not change the bits.
	AnyThreads bool `json:"any_threads"`
}
