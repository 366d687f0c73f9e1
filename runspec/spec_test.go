package runspec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/replica/model"
)

func mustNew(t *testing.T, layers ...[]Setting) Spec {
	t.Helper()
	s, _, err := New(layers...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func yamlOf(t *testing.T, text string) []Setting {
	t.Helper()
	s, err := ParseYAML("run.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func flag(t *testing.T, name string, texts ...string) Setting {
	t.Helper()
	k, err := LookUp(name)
	if err != nil {
		t.Fatal(err)
	}
	return Flag(k, texts...)
}

func TestEveryPresetHasValidDefaults(t *testing.T) {
	for _, name := range []string{"tiny", "mini", "small", "base", "large"} {
		s := mustNew(t, []Setting{flag(t, "model", name)})
		if s.Model.Name != name || s.Optimizer.LR <= 0 || s.Batch.Rows < 1 {
			t.Errorf("%s: %+v", name, s)
		}
		if err := s.Complete(); err == nil {
			t.Errorf("%s: complete before steps and precision are known", name)
		}
	}
}

func TestPrecedenceAndOrigins(t *testing.T) {
	file := yamlOf(t, "seed: 1\nsteps: 10\nmodel: mini\noptimizer:\n  lr: 0.5\nbatch.rows: 3\ncheckpoint: {every: 90s}\ncorpus: [a, b]\n")
	env := Environment([]string{"GRAMME_STEPS=20", "GRAMME_SEED=2", "GRAMME_TOKEN=secret", "GRAMME_WORKERS=1:4", "OTHER=1"})
	s, from, err := New(file, env, []Setting{flag(t, "seed", "3")})
	if err != nil {
		t.Fatal(err)
	}
	if s.Seed != 3 || s.Steps != 20 || s.Optimizer.LR != 0.5 || s.Batch.Rows != 3 || s.Model.HiddenSize != 256 ||
		s.Checkpoint.Every != 90*time.Second || s.Workers != (Workers{1, 4}) || strings.Join(s.Corpus, " ") != "a b" {
		t.Errorf("spec %+v", s)
	}
	for key, want := range map[string]string{
		"seed": "--seed", "steps": "GRAMME_STEPS", "optimizer.lr": "run.yaml:5", "batch.rows": "run.yaml:6", "vocab_size": "default",
	} {
		if from[key] != want {
			t.Errorf("%s came from %q, want %q", key, from[key], want)
		}
	}
}

func TestBadYAMLIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"no_such_key: 1":                 "run.yaml:1: unknown key \"no_such_key\"",
		"seed: 1\nstep: 5":               "run.yaml:2: unknown key \"step\": did you mean \"steps\"?",
		"micro_batches: 2":               "did you mean \"batch.micro_batches\"?",
		"batch: {row: 2}":                "did you mean \"batch.rows\"?",
		"seed: 1\nseed: 2":               "given twice",
		"seed: [1, {a: 1}]":              "holds one value",
		"- a":                            "list of key: value",
		"seed: 1\n  : :":                 "read configuration run.yaml",
		"model: {name: tiny, depth: 12}": "unknown key \"model.depth\"",
	} {
		_, err := ParseYAML("run.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if s, err := ParseYAML("x", nil); err != nil || s != nil {
		t.Errorf("an empty file: %v %v", s, err)
	}
}

func TestBadValuesAreRefusedInPlainWords(t *testing.T) {
	for _, c := range [][3]string{
		{"workers", "-1", "-1 is negative"},
		{"workers", "4:2", "minimum is above"},
		{"workers", "0", "at least one worker"},
		{"workers", "many", "not a number of workers"},
		{"model", "enormous", "unknown model \"enormous\""},
		{"model", "/no/such/config.json", "no such file"},
		{"seed", "-1", "not a whole number from 0 up"},
		{"failure_timeout", "1", "not a duration"},
		{"failure_timeout", "0s", "below 50ms"},
		{"compute_timeout", "20ms", "neither 0 nor at least 1s"},
		{"compute_timeout", "-1s", "neither 0 nor at least 1s"},
		{"ring", "straight", "not one of"},
		{"batch.micro_batches", "0", "not in 1..1024"},
		{"vocab_size", "5", "5 is below 6"},
		{"max_seq", "1000", "above model.max_positions 512"},
		{"dropout", "1", "not in [0, 1)"},
		{"dropout", "NaN", "not in [0, 1)"},
		{"optimizer.lr", "0", "not positive"},
		{"optimizer.schedule", "steps", "not one of [linear sqrt]"},
		{"optimizer.decay", "0", "not above 0"},
		{"masking.final_probability", "1", "not in [0, 1)"},
		{"recipe", "mine", "not one of [auto bert]"},
		{"precision", "f16", "not one of"},
		{"run_id", "a.b", "letters, digits and dashes"},
		{"checkpoint.keep", "0", "below 1"},
		{"lowercase", "perhaps", "not true or false"},
		{"model.heads", "3", "not a multiple of heads"},
	} {
		_, _, err := New([]Setting{flag(t, c[0], c[1])})
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s=%s: %v, want %q", c[0], c[1], err, c[2])
		}
	}
}

// otherValues are, for each key, another value than the default.
var otherValues = map[string]string{
	"run_id": "abc", "seed": "9", "steps": "9", "corpus": "x", "model.name": "tiny2", "model.hidden_size": "256", "model.layers": "3",
	"model.heads": "4", "model.intermediate_size": "77", "model.max_positions": "300", "model.type_vocab_size": "3",
	"model.init_std": "0.5", "model.position_init": "sinusoid", "model.output_init": "other", "model.layer_norm_eps": "0.5", "model.activation": "gelu_new", "vocab_size": "99", "lowercase": "false",
	"max_seq": "64", "data.shard_tokens": "2048", "data.window": "9", "batch.rows": "9", "batch.micro_batches": "9",
	"masking.probability": "0.45", "masking.final_probability": "0.45", "recipe": "bert", "masking.max_predictions": "9", "masking.whole_word": "true", "optimizer.name": "x",
	"optimizer.lr": "0.5", "optimizer.warmup": "0.5", "optimizer.beta1": "0.5", "optimizer.beta2": "0.5", "optimizer.eps": "0.5",
	"optimizer.weight_decay": "0.5", "optimizer.clip": "0.5", "optimizer.schedule": "x", "optimizer.decay": "0.5", "dropout": "0.5", "precision": "f32",
	"reduce": "f32", "threads": "9", "pin_threads": "true", "device": "cuda", "workers": "9", "checkpoint.every": "9s", "checkpoint.keep": "9",
	"failure_timeout": "9s", "stop_on_divergence": "loss", "compute_timeout": "90s", "ring": "broker", "mixed": "true", "keep_slow_workers": "true", "energy.country": "FRA", "energy.intensity": "9", "energy.pue": "2",
	"energy.cpu_watts_per_core": "9", "energy.ram_watts_per_gb": "9", "log.level": "debug", "log.format": "json",
}

func TestHashCoversIdentityAndNothingElse(t *testing.T) {
	base := mustNew(t)
	other := otherValues
	for _, k := range Keys() {
		value, ok := other[k.Name]
		if !ok {
			t.Errorf("key %s is not tried", k.Name)
			continue
		}
		changed := base
		if err := k.set(&changed, []string{value}); err != nil {
			t.Fatal(err)
		}
		if changed.Text(k) == base.Text(k) {
			t.Errorf("%s: %s is the value it had", k.Name, value)
		}
		if differs := changed.Hash() != base.Hash(); differs != k.Identity {
			t.Errorf("%s: hash differs %v, identity %v", k.Name, differs, k.Identity)
		}
	}
}

// The number of threads is part of what determines the bits only where it is pinned.
func TestThreadsMayChangeUnlessTheyArePinned(t *testing.T) {
	more := []Setting{flag(t, "threads", "2")}
	free := mustNew(t, []Setting{flag(t, "run_id", "r1"), flag(t, "threads", "1")})
	s, origins, err := Resume(free, "spec.yaml", more)
	if err != nil || s.Threads != 2 || origins["threads"] != "--threads" || s.Hash() != free.Hash() {
		t.Errorf("%d threads by %s, %v", s.Threads, origins["threads"], err)
	}
	pinned := mustNew(t, []Setting{flag(t, "run_id", "r1"), flag(t, "threads", "1"), flag(t, "pin_threads", "true")})
	changed := pinned
	changed.Threads = 2
	if _, _, err := Resume(pinned, "spec.yaml", more); changed.Hash() == pinned.Hash() || err == nil || !strings.Contains(err.Error(), "threads: this run began with 1") {
		t.Errorf("pinned threads change: %v", err)
	}
	for _, stored := range []Spec{free, pinned} {
		if s, _, err := Resume(stored, "spec.yaml", []Setting{flag(t, "threads", "0"), flag(t, "workers", "auto")}); err != nil || s.Threads != 1 || s.Workers != stored.Workers {
			t.Errorf("what was left to a measurement is %d threads and %s workers, %v", s.Threads, s.Workers, err)
		}
	}
}

func TestStoredSpecIsReadBackWhole(t *testing.T) {
	s := mustNew(t, []Setting{
		flag(t, "workers", "1:4"), flag(t, "corpus", "/a b", "c: d"), flag(t, "checkpoint.every", "90s"),
		flag(t, "optimizer.lr", "0.0003"), flag(t, "seed", "18446744073709551615"), flag(t, "run_id", "r1"),
	})
	path := filepath.Join(t.TempDir(), "spec.yaml")
	for range 2 { // the second replaces the first
		if err := s.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		if got.Text(k) != s.Text(k) {
			t.Errorf("%s: %q came back as %q", k.Name, s.Text(k), got.Text(k))
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files beside the spec", len(left)-1)
	}
	if _, err := Read(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent spec: %v", err)
	}
	b, _ := os.ReadFile(path)
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), "seed:", "# seed:", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "key seed is missing") {
		t.Errorf("a spec without a seed: %v", err)
	}
}

func TestResumeRefusesWhatWouldChangeTheBits(t *testing.T) {
	stored := mustNew(t, []Setting{
		flag(t, "run_id", "r1"), flag(t, "steps", "100"), flag(t, "precision", "bf16"), flag(t, "threads", "1"), flag(t, "seed", "7"),
	})
	s, from, err := Resume(stored, "spec.yaml", []Setting{
		flag(t, "seed", "7"), flag(t, "workers", "3"), flag(t, "precision", "auto"), flag(t, "threads", "0"), flag(t, "model", "tiny"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Hash() != stored.Hash() || s.Workers.Max != 3 || s.Precision != "bf16" || from["workers"] != "--workers" || from["steps"] != "spec.yaml" {
		t.Errorf("resumed as %+v from %v", s, from)
	}
	_, _, err = Resume(stored, "spec.yaml", []Setting{
		flag(t, "seed", "8"), flag(t, "model", "mini"), flag(t, "run_id", "r2"), flag(t, "precision", "f32"),
	})
	for _, want := range []string{
		"seed: this run began with 7, and --seed says 8", "model: this run began with tiny, and --model says mini",
		"run_id: this run began with r1", "precision: this run began with bf16",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	if c := (*Conflict)(nil); !errors.As(err, &c) {
		t.Errorf("%T is not a conflict", err)
	}
}

func TestModelFromFile(t *testing.T) {
	c := mustNew(t, []Setting{flag(t, "model", "small")}).ModelConfig(1000)
	b, err := c.HF()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, []Setting{flag(t, "model", path)})
	if s.Model.HiddenSize != 512 || s.Optimizer.LR != sizes["small"].lr {
		t.Errorf("%+v", s)
	}
	stored := mustNew(t, []Setting{flag(t, "model", "small")})
	if _, _, err := Resume(stored, "spec.yaml", []Setting{flag(t, "model", path)}); err != nil {
		t.Errorf("the same architecture by another name: %v", err)
	}
}

func TestRuleIsValid(t *testing.T) {
	s := mustNew(t, []Setting{flag(t, "steps", "100"), flag(t, "optimizer.warmup", "0.25"), flag(t, "optimizer.decay", "1")})
	if o := s.Rule(modelLayout(s)).Optimizer; o.Warmup != 25 || o.Hold != 0 {
		t.Errorf("warmup of %d steps, then %d", o.Warmup, o.Hold)
	}
	s.Optimizer.Decay = 0.5
	if o := s.Rule(modelLayout(s)).Optimizer; o.Warmup != 25 || o.Hold != 25 {
		t.Errorf("warmup of %d steps, then %d, with a decay of 50", o.Warmup, o.Hold)
	}
	if err := s.Rule(modelLayout(s)).Validate(); err != nil {
		t.Error(err)
	}
}

func TestMoreWorkersThanMicroBatchesIsAWarning(t *testing.T) {
	if w := mustNew(t, []Setting{flag(t, "workers", "4")}).Warnings(); len(w) != 0 {
		t.Errorf("4 workers, 4 micro-batches: %v", w)
	}
	if w := mustNew(t, []Setting{flag(t, "workers", "6")}).Warnings(); len(w) != 1 || !strings.Contains(w[0], "2 of them") {
		t.Errorf("6 workers, 4 micro-batches: %v", w)
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add("seed: 1\nmodel: {name: tiny}\ncorpus: [a]\n")
	f.Add("a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := ParseYAML("x", []byte(text))
		if err != nil {
			return
		}
		spec, _, err := New(settings)
		if err == nil && spec.Validate() != nil {
			t.Errorf("%q gave an invalid spec", text)
		}
	})
}

func modelLayout(s Spec) model.Layout { return model.NewLayout(s.ModelConfig(s.VocabSize)) }
