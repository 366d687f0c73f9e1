package runspec

import (
	"time"

	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/replica/model"
)

// recipe holds the defaults that depend on the size of the model.
type recipe struct {
	rows, microBatches int
	lr, beta2, dropout float64
}

// recipes are small batches and high rates for models that learn in minutes,
// and those of arXiv 1810.04805 for the two that it describes. The small ones
// do without dropout: a short run sees no sample twice.
var recipes = map[string]recipe{
	"tiny":  {rows: 4, microBatches: 4, lr: 2e-3, beta2: 0.98},
	"mini":  {rows: 8, microBatches: 4, lr: 1e-3, beta2: 0.98},
	"small": {rows: 8, microBatches: 8, lr: 5e-4, beta2: 0.98, dropout: 0.1},
	"base":  {rows: 16, microBatches: 16, lr: 1e-4, beta2: 0.999, dropout: 0.1},
	"large": {rows: 8, microBatches: 32, lr: 1e-4, beta2: 0.999, dropout: 0.1},
}

// DefaultModel is trained when no model is named.
const DefaultModel = "tiny"

// defaults returns the spec of a model before anything else is known.
// `name` is kept as given; the architecture decides the recipe.
func defaults(name string, c model.Config) Spec {
	r := recipes[presetNear(c)]
	return Spec{
		Seed: 1, Steps: 0,
		Model: Model{
			Name: name, HiddenSize: c.HiddenSize, Layers: c.Layers, Heads: c.Heads,
			IntermediateSize: c.IntermediateSize, MaxPositions: c.MaxPositions, TypeVocabSize: c.TypeVocabSize,
			InitStd: c.InitStd, PositionInit: model.PositionsNormal, LayerNormEps: c.LayerNormEps, Activation: c.Activation,
		},
		VocabSize: 8192, Lowercase: true, MaxSeq: min(128, c.MaxPositions),
		Data:    Data{ShardTokens: 1 << 20, Window: 4},
		Batch:   Batch{Rows: r.rows, MicroBatches: r.microBatches},
		Masking: Masking{Probability: 0.15, MaxPredictions: 20},
		Optimizer: Optimizer{
			Name: "adamw", LR: r.lr, Warmup: 0.1, Beta1: 0.9, Beta2: r.beta2, Eps: 1e-6,
			WeightDecay: 0.01, Clip: 1, Schedule: "linear",
		},
		Dropout:   r.dropout,
		Precision: PrecisionAuto, Reduce: "exact", Device: DeviceCPU,
		Workers:          Workers{Min: 1, Max: 1},
		Checkpoint:       Checkpoint{Every: time.Minute, Keep: 3},
		FailureTimeout:   time.Second,
		StopOnDivergence: divergence.StopSkipped,
		Ring:             RingAuto,
		Energy:           Energy{PUE: 1, CPUWattsPerCore: 4, RAMWattsPerGB: 0.375},
		Log:              Log{Level: "info", Format: "console"},
	}
}

// UsualRate is the learning rate that suits the model where nothing else is known.
func (s Spec) UsualRate() float64 { return recipes[presetNear(s.ModelConfig(1))].lr }

// presetNear returns the smallest preset that is at least as wide as c, whose
// recipe then suits c.
func presetNear(c model.Config) string {
	for _, name := range model.Presets {
		if p, err := model.Preset(name); err == nil && c.HiddenSize <= p.HiddenSize {
			return name
		}
	}
	return model.Presets[len(model.Presets)-1]
}
