package sampler

import "github.com/gramme-project/gramme/shard"

// evaluationSeed fixes the draws of every evaluation, so that the losses of
// different runs and steps compare the same predictions.
const evaluationSeed = 0x6576616c

// EvaluationConfig is how every evaluation draws: batches of 16 sequences, 15% of the
// tokens to predict as in BERT, whatever the training does, so that losses of runs
// compare. most bounds the number of batches.
func EvaluationConfig(split string, seq, window, most int) Config {
	return Config{
		Split: split, Rows: 16, Seq: seq, MicroBatches: most,
		MaskProb: 0.15, MaxPredictions: max(1, seq*3/20+1), Window: window,
	}
}

// NewEvaluation makes a sampler for evaluation: Batch(0, i) for i below the returned
// number of batches. They are the first batches of the first epoch of cfg.Split
// (validation by default), with a fixed seed in place of cfg.Seed. There are
// cfg.MicroBatches of them, or as many as the split fills; the last batch of a small split
// is filled up from its second epoch.
func NewEvaluation(cfg Config, m shard.Manifest, v *Vocabulary, load func(i int) (*shard.Shard, error)) (*Sampler, int, error) {
	if cfg.Split == "" {
		cfg.Split = "validation"
	}
	cfg.Seed = evaluationSeed
	s, err := New(cfg, m, v, load)
	if err != nil {
		return nil, 0, err
	}
	filled := (s.order.chunks + uint64(cfg.Rows) - 1) / uint64(cfg.Rows)
	return s, int(min(uint64(cfg.MicroBatches), filled)), nil
}
