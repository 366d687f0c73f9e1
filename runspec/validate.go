package runspec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/replica"
)

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

// Validate reports everything that makes the spec unusable. Steps 0, precision
// auto, workers auto, threads 0 and an empty run name are valid here: they are settled
// when the run begins, which Complete checks.
func (s Spec) Validate() error {
	var errs []error
	bad := func(key string, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	atLeast := func(key string, v, low int) {
		if v < low {
			bad(key, "%d is below %d", v, low)
		}
	}
	within := func(key string, v, low, high float64) { // high excluded
		if !(v >= low && v < high) {
			bad(key, "%g is not in [%g, %g)", v, low, high)
		}
	}
	oneOf := func(key, v string, all ...string) {
		if !slices.Contains(all, v) {
			bad(key, "%q is not one of %v", v, all)
		}
	}
	if s.Run != "" && !runName.MatchString(s.Run) {
		bad("run_id", "%q is not made of letters, digits and dashes", s.Run)
	}
	// A vocabulary holds five special tokens and at least one piece. That of a text
	// of few words is hardly larger, and becomes the run's.
	const fewest = 6
	if err := s.ModelConfig(max(s.VocabSize, fewest)).Validate(); err != nil {
		errs = append(errs, err)
	}
	atLeast("vocab_size", s.VocabSize, fewest)
	atLeast("max_seq", s.MaxSeq, 8)
	if s.MaxSeq > s.Model.MaxPositions {
		bad("max_seq", "%d is above model.max_positions %d", s.MaxSeq, s.Model.MaxPositions)
	}
	if s.Model.TypeVocabSize < 2 {
		bad("model.type_vocab_size", "%d: next sentence prediction needs 2", s.Model.TypeVocabSize)
	}
	atLeast("data.shard_tokens", s.Data.ShardTokens, 1024)
	atLeast("data.window", s.Data.Window, 1)
	atLeast("batch.rows", s.Batch.Rows, 1)
	if m := s.Batch.MicroBatches; m < 1 || m > replica.MaxMicroBatches {
		bad("batch.micro_batches", "%d is not in 1..%d", m, replica.MaxMicroBatches)
	}
	if p := s.Masking.Probability; !(p > 0 && p < 1) {
		bad("masking.probability", "%g is not between 0 and 1", p)
	}
	within("masking.final_probability", s.Masking.FinalProbability, 0, 1)
	atLeast("masking.max_predictions", s.Masking.MaxPredictions, 1)
	oneOf("recipe", s.Recipe, RecipeAuto, RecipeBERT)
	errs = append(errs, s.Optimizer.validate()...)
	within("dropout", s.Dropout, 0, 1)
	oneOf("precision", s.Precision, PrecisionAuto, PrecisionF32, PrecisionBF16)
	oneOf("reduce", s.Reduce, string(replica.Exact), string(replica.Exact16), string(replica.Float))
	if m := s.Batch.MicroBatches; s.Reduce == string(replica.Exact16) && m > replica.MaxShortMicroBatches {
		bad("batch.micro_batches", "%d is more than the %d that exact16 can sum (reduce)", m, replica.MaxShortMicroBatches)
	}
	oneOf("device", s.Device, Devices...)
	atLeast("threads", s.Threads, 0)
	if err := s.Workers.validate(); err != nil && !s.Workers.Auto() {
		errs = append(errs, fmt.Errorf("workers: %w", err))
	}
	if s.Checkpoint.Every <= 0 {
		bad("checkpoint.every", "%s is not positive", s.Checkpoint.Every)
	}
	atLeast("checkpoint.keep", s.Checkpoint.Keep, 1)
	if s.FailureTimeout < 50*time.Millisecond {
		bad("failure_timeout", "%s is below 50ms", s.FailureTimeout)
	}
	if t := s.ComputeTimeout; t != 0 && t < time.Second {
		bad("compute_timeout", "%s is neither 0 nor at least 1s", t)
	}
	if s.StopOnDivergence != "" { // as it was before the key was there: skipped
		oneOf("stop_on_divergence", s.StopOnDivergence, divergence.StopSkipped, divergence.StopLoss, divergence.StopNever)
	}
	if s.Ring != "" { // as it was before the key was there: direct
		oneOf("ring", s.Ring, wire.RingDirect, wire.RingBroker, RingAuto)
	}
	within("energy.intensity", s.Energy.Intensity, 0, math.Inf(1))
	within("energy.pue", s.Energy.PUE, 1, 10)
	if s.Energy.Intensity == 0 { // else the country is only a name
		if _, err := energy.NewFactor(s.Energy.Country, 0, 1); err != nil {
			errs = append(errs, fmt.Errorf("energy.country: %w", err))
		}
	}
	within("energy.cpu_watts_per_core", s.Energy.CPUWattsPerCore, 0, 10000)
	within("energy.ram_watts_per_gb", s.Energy.RAMWattsPerGB, 0, 10000)
	oneOf("log.level", s.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", s.Log.Format, "console", "json")
	return failures.Of(errs...)
}

func (o Optimizer) validate() []error {
	var errs []error
	check := func(ok bool, key string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("optimizer.%s: %v is not %s", key, value, want))
		}
	}
	finite := func(v float64) bool { return !math.IsInf(v, 0) }
	check(o.Name == "adamw", "name", o.Name, "adamw")
	schedules := []replica.Schedule{replica.Linear, replica.Sqrt}
	check(slices.Contains(schedules, replica.Schedule(o.Schedule)), "schedule", o.Schedule, fmt.Sprintf("one of %v", schedules))
	check(o.Decay > 0 && o.Decay <= 1, "decay", o.Decay, "above 0 and at most 1")
	check(o.LR > 0 && finite(o.LR), "lr", o.LR, "positive")
	check(o.Warmup >= 0 && o.Warmup < 1, "warmup", o.Warmup, "in [0, 1)")
	check(o.Beta1 >= 0 && o.Beta1 < 1, "beta1", o.Beta1, "in [0, 1)")
	check(o.Beta2 >= 0 && o.Beta2 < 1, "beta2", o.Beta2, "in [0, 1)")
	check(o.Eps > 0 && finite(o.Eps), "eps", o.Eps, "positive")
	check(o.WeightDecay >= 0 && finite(o.WeightDecay), "weight_decay", o.WeightDecay, "0 or positive")
	check(o.Clip >= 0 && finite(o.Clip), "clip", o.Clip, "0 or positive")
	return errs
}

// Complete reports the keys that still need a value before anything can train.
func (s Spec) Complete() error {
	var errs []error
	for _, f := range []struct {
		key  string
		open bool
	}{
		{"run_id", s.Run == ""}, {"steps", s.Steps == 0},
		{"precision", s.Precision == PrecisionAuto}, {"threads", s.Threads == 0}, {"workers", s.Workers.Auto()},
	} {
		if f.open {
			errs = append(errs, fmt.Errorf("%s: not settled", f.key))
		}
	}
	return failures.Of(append(errs, s.Validate())...)
}

// Warnings reports settings that are valid, but probably not intended.
func (s Spec) Warnings() []string {
	var w []string
	if m := s.Batch.MicroBatches; s.Workers.Max > m {
		w = append(w, fmt.Sprintf("%s, but a step has %s: %d of them will have nothing to compute (batch.micro_batches)", words.Several(s.Workers.Max, "worker"), words.Several(m, "micro-batch"), s.Workers.Max-m))
	}
	if s.Reduce == string(replica.Float) {
		w = append(w, "reduce f32: the result depends on the number of workers")
	}
	return w
}
