package runspec

import (
	"time"

	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/replica/model"
)

// DefaultModel is trained when no model is named.
const DefaultModel = "tiny"

// defaults returns the spec of a model before anything else is known. `name` is kept as
// given. The recipe fills in the keys that are absent here.
func defaults(name string, c model.Config) Spec {
	return Spec{
		Seed: 1, Steps: 0, Recipe: RecipeAuto,
		Model: Model{
			Name: name, HiddenSize: c.HiddenSize, Layers: c.Layers, Heads: c.Heads,
			IntermediateSize: c.IntermediateSize, MaxPositions: c.MaxPositions, TypeVocabSize: c.TypeVocabSize,
			LayerNormEps: c.LayerNormEps, Activation: c.Activation,
		},
		VocabSize: 8192, Lowercase: true, MaxSeq: min(128, c.MaxPositions),
		Data:      Data{ShardTokens: 1 << 20, Window: 4},
		Optimizer: Optimizer{Name: "adamw", Beta1: 0.9, Eps: 1e-6, WeightDecay: 0.01, Clip: 1},
		Precision: PrecisionAuto, Reduce: "exact", Device: DeviceCPU,
		Checkpoint:       Checkpoint{Every: time.Minute, Keep: 3},
		FailureTimeout:   time.Second,
		StopOnDivergence: divergence.StopSkipped,
		Ring:             RingAuto,
		Energy:           Energy{PUE: 1, CPUWattsPerCore: 4, RAMWattsPerGB: 0.375},
		Log:              Log{Level: "info", Format: "console"},
	}
}
