// Package model is the shape of a BERT encoder with its pretraining heads:
// the configuration, the names and places of its tensors in one flat buffer,
// the initial weights, and Hugging Face's config.json.
//
// It guarantees that two processes with the same Config lay out the same flat
// buffer and, with the same seed, start from the same bits. It computes
// nothing: that is worker/bert.
package model

import (
	"fmt"
	"math"
	"slices"

	"github.com/gramme-project/gramme/internal/failures"
)

// Activations that the encoder knows, by their Hugging Face names.
const (
	ActivationGELU    = "gelu"     // x·Φ(x) by erf
	ActivationGELUNew = "gelu_new" // the tanh approximation that Google's BERT used
)

// Ways to begin the position embeddings.
const (
	PositionsNormal     = "normal"     // random like all other weights, as in BERT
	PositionsSinusoid   = "sinusoid"   // those of the first transformer
	PositionsNeighbours = "neighbours" // sinusoids, and the first layer attends to neighbours
)

// Ways to begin the products whose result is added to their layer's input.
const (
	OutputsNormal = "normal" // random like all other weights, as in BERT
	OutputsZero   = "zero"   // nothing is added at first: a layer begins as its layer norms
)

// Config determines the architecture. Sizes are in elements.
type Config struct {
	VocabSize        int     `json:"vocab_size"`
	HiddenSize       int     `json:"hidden_size"`
	Layers           int     `json:"num_hidden_layers"`
	Heads            int     `json:"num_attention_heads"`
	IntermediateSize int     `json:"intermediate_size"`
	MaxPositions     int     `json:"max_position_embeddings"`
	TypeVocabSize    int     `json:"type_vocab_size"`
	HiddenDropout    float64 `json:"hidden_dropout_prob"`
	AttentionDropout float64 `json:"attention_probs_dropout_prob"`
	InitStd          float64 `json:"initializer_range"`
	LayerNormEps     float64 `json:"layer_norm_eps"`
	Activation       string  `json:"hidden_act"`
	PadID            int     `json:"pad_token_id"`
	PositionInit     string  `json:"-"` // of the initial weights only; empty is normal
	OutputInit       string  `json:"-"` // likewise
}

// UsualDropout is the dropout with which BERT is pretrained and fine-tuned.
const UsualDropout = 0.1

// Presets lists the names that Preset knows, smallest first. The sizes are
// those of google-research/bert's compact models and of the two first BERTs.
var Presets = []string{"tiny", "mini", "small", "base", "large"}

// Preset returns a named architecture. VocabSize is 0: it is known once there
// is a vocabulary.
func Preset(name string) (Config, error) {
	sizes := map[string][3]int{ // hidden, layers, heads
		"tiny": {128, 2, 2}, "mini": {256, 4, 4}, "small": {512, 4, 8}, "base": {768, 12, 12}, "large": {1024, 24, 16},
	}
	s, ok := sizes[name]
	if !ok {
		return Config{}, fmt.Errorf("model %q: not one of %v", name, Presets)
	}
	c := bert
	c.HiddenSize, c.Layers, c.Heads, c.IntermediateSize = s[0], s[1], s[2], 4*s[0]
	return c, nil
}

// bert holds what all published BERTs have in common, and transformers' defaults.
var bert = Config{
	MaxPositions: 512, TypeVocabSize: 2, HiddenDropout: UsualDropout, AttentionDropout: UsualDropout,
	InitStd: 0.02, LayerNormEps: 1e-12, Activation: ActivationGELU,
}

// Validate reports everything that makes c unusable.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("model "+format, args...)) }
	for _, f := range []struct {
		name  string
		value int
	}{
		{"vocab_size", c.VocabSize}, {"hidden_size", c.HiddenSize}, {"layers", c.Layers}, {"heads", c.Heads},
		{"intermediate_size", c.IntermediateSize}, {"max_positions", c.MaxPositions}, {"type_vocab_size", c.TypeVocabSize},
	} {
		if f.value <= 0 {
			bad("%s: %d is not positive", f.name, f.value)
		}
	}
	if c.Heads > 0 && c.HiddenSize%c.Heads != 0 {
		bad("hidden_size %d: not a multiple of heads %d", c.HiddenSize, c.Heads)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"hidden_dropout", c.HiddenDropout}, {"attention_dropout", c.AttentionDropout}} {
		if !(f.value >= 0 && f.value < 1) {
			bad("%s: %g is not in [0, 1)", f.name, f.value)
		}
	}
	if !(c.LayerNormEps > 0 && c.LayerNormEps <= math.MaxFloat32) {
		bad("layer_norm_eps: %g is not positive and finite", c.LayerNormEps)
	}
	if !(c.InitStd > 0 && c.InitStd <= math.MaxFloat32) {
		bad("init_std: %g is not positive and finite", c.InitStd)
	}
	if !slices.Contains([]string{ActivationGELU, ActivationGELUNew}, c.Activation) {
		bad("activation %q: not gelu or gelu_new", c.Activation)
	}
	if !slices.Contains([]string{"", PositionsNormal, PositionsSinusoid, PositionsNeighbours}, c.PositionInit) {
		bad("position_init %q: not normal, sinusoid or neighbours", c.PositionInit)
	}
	if !slices.Contains([]string{"", OutputsNormal, OutputsZero}, c.OutputInit) {
		bad("output_init %q: not normal or zero", c.OutputInit)
	}
	if c.PadID < 0 || (c.VocabSize > 0 && c.PadID >= c.VocabSize) {
		bad("pad_id %d: not in the vocabulary", c.PadID)
	}
	return failures.Of(errs...)
}
