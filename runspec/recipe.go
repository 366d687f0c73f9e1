package runspec

import (
	"math"
	"strings"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// usualStd is the spread of BERT's initial weights.
const usualStd = 0.02

// Values of Recipe.
const (
	RecipeAuto = "auto"
	RecipeBERT = "bert"
)

// originDefault and originRecipe begin the origins of values that no user gave.
const (
	originDefault = "default"
	originRecipe  = "recipe "
)

// Given reports whether a user gave the key's value, rather than a default, a recipe, or
// the file of a model.
func (o Origins) Given(key string) bool {
	origin := o[key]
	return origin != originDefault && !strings.HasPrefix(origin, originRecipe)
}

// ChooseRecipe gives every key of the recipe that no user gave its value, and that
// value its origin. It is called again when the corpus, and so max_seq, is known.
func (s *Spec) ChooseRecipe(origins Origins) {
	c := choosing{origins, originRecipe + s.Recipe}
	switch s.Recipe {
	case RecipeAuto:
		c.auto(s)
	case RecipeBERT:
		c.bert(s)
	}
}

// choosing fills in the keys of a recipe.
type choosing struct {
	origins Origins
	origin  string
}

// choose sets a field unless a user gave its key.
func choose[T any](c choosing, key string, field *T, value T) {
	if !c.origins.Given(key) {
		*field, c.origins[key] = value, c.origin
	}
}

// bert is the recipe of arXiv 1810.04805: batches of 256 sequences, and a warmup over
// 1% of the steps.
func (c choosing) bert(s *Spec) {
	choose(c, "batch.rows", &s.Batch.Rows, sizes[presetNear(s.ModelConfig(1))].rows(s))
	choose(c, "batch.micro_batches", &s.Batch.MicroBatches, min(max(1, 256/s.Batch.Rows), replica.MaxMicroBatches))
	choose(c, "model.init_std", &s.Model.InitStd, usualStd)
	choose(c, "model.position_init", &s.Model.PositionInit, model.PositionsNormal)
	choose(c, "model.output_init", &s.Model.OutputInit, model.OutputsNormal)
	choose(c, "masking.probability", &s.Masking.Probability, 0.15)
	choose(c, "masking.final_probability", &s.Masking.FinalProbability, 0)
	c.predictions(s)
	choose(c, "optimizer.lr", &s.Optimizer.LR, 1e-4)
	choose(c, "optimizer.warmup", &s.Optimizer.Warmup, 0.01)
	choose(c, "optimizer.beta2", &s.Optimizer.Beta2, 0.999)
	choose(c, "optimizer.schedule", &s.Optimizer.Schedule, string(replica.Linear))
	choose(c, "optimizer.decay", &s.Optimizer.Decay, 1)
	choose(c, "dropout", &s.Dropout, model.UsualDropout)
}

// predictions leaves room for all tokens that are to be predicted.
func (c choosing) predictions(s *Spec) {
	most := max(s.Masking.Probability, s.Masking.FinalProbability)
	choose(c, "masking.max_predictions", &s.Masking.MaxPredictions, max(1, int(math.Ceil(most*float64(s.MaxSeq)))))
}

// size holds what the recipes choose by the size of a model.
type size struct {
	tokens       int // of a micro-batch
	microBatches int
	lr           float64
}

// sizes holds small batches and high rates for models that learn in minutes.
var sizes = map[string]size{
	"tiny":  {tokens: 512, microBatches: 4, lr: 2.8e-3},
	"mini":  {tokens: 512, microBatches: 4, lr: 1e-3},
	"small": {tokens: 1024, microBatches: 8, lr: 5e-4},
	"base":  {tokens: 2048, microBatches: 16, lr: 2e-4},
	"large": {tokens: 1024, microBatches: 32, lr: 1e-4},
}

// rows returns the sequences of a micro-batch.
func (z size) rows(s *Spec) int { return max(1, z.tokens/s.MaxSeq) }

// auto is the recipe that reaches a loss with the least work, as far as docs/recipe.md
// found it. It is a function of the model's size.
func (c choosing) auto(s *Spec) {
	z := sizes[presetNear(s.ModelConfig(1))]
	choose(c, "batch.rows", &s.Batch.Rows, z.rows(s))
	choose(c, "batch.micro_batches", &s.Batch.MicroBatches, z.microBatches)
	c.start(s)
	choose(c, "masking.probability", &s.Masking.Probability, 0.3)
	choose(c, "masking.final_probability", &s.Masking.FinalProbability, 0.15)
	c.predictions(s)
	choose(c, "optimizer.lr", &s.Optimizer.LR, z.lr)
	choose(c, "optimizer.warmup", &s.Optimizer.Warmup, 0.1)
	choose(c, "optimizer.beta2", &s.Optimizer.Beta2, 0.99)
	choose(c, "optimizer.schedule", &s.Optimizer.Schedule, string(replica.Sqrt))
	choose(c, "optimizer.decay", &s.Optimizer.Decay, 0.4)
	choose(c, "dropout", &s.Dropout, 0)
}

// widest is the width up to which models start otherwise than BERT; above it that has not
// been tried.
const widest = 256

// start chooses the initial weights.
func (c choosing) start(s *Spec) {
	std, positions, outputs := wideInit(s.Model.HiddenSize), model.PositionsNeighbours, model.OutputsZero
	if s.Model.HiddenSize > widest {
		std, positions, outputs = usualStd, model.PositionsNormal, model.OutputsNormal
	}
	choose(c, "model.init_std", &s.Model.InitStd, std)
	choose(c, "model.position_init", &s.Model.PositionInit, positions)
	choose(c, "model.output_init", &s.Model.OutputInit, outputs)
}

// wideInit is a spread of initial weights with which a product keeps the size of its
// input; BERT's 0.02 is that of a width of 2,048. Two digits are enough.
func wideInit(hidden int) float64 {
	return math.Round(100*0.9/math.Sqrt(float64(hidden))) / 100
}

// UsualRate is the learning rate that suits the model where nothing else is known.
func (s Spec) UsualRate() float64 {
	origins := Origins{}
	for _, k := range allKeys {
		origins[k.Name] = originDefault
	}
	s.ChooseRecipe(origins)
	return s.Optimizer.LR
}

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
