// Package evaluation is what the worker's binary prints of a held-out split, and
// what `gramme up` reads and keeps of it.
package evaluation

// Measures are means over the predictions and the pairs of a split.
type Measures struct {
	MLMLoss     float64 `json:"mlm_loss"`
	MLMAccuracy float64 `json:"mlm_accuracy"`
	NSPLoss     float64 `json:"nsp_loss"`
	NSPAccuracy float64 `json:"nsp_accuracy"`
	Predictions int     `json:"predictions"`
	Pairs       int     `json:"pairs"`
}

// Result compares the model at its start with the newest checkpoint.
type Result struct {
	Step   uint64   `json:"step"`
	Split  string   `json:"split"`
	Start  Measures `json:"start"`
	Newest Measures `json:"newest"`
	// TokensPerSecond is how fast the training was that led there.
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`
}
