//go:build cgo

package bert_test

import (
	"runtime"
	"testing"

	"github.com/gramme-project/gramme/worker/bert"
)

func fingerprint(t *testing.T, m *bert.Model) string {
	t.Helper()
	f, err := bert.Fingerprint(m)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFingerprint(t *testing.T) {
	cfg := small()
	m := open(t, cfg, bert.Options{Threads: 1, Device: device()})
	b := batch(cfg, 1, 4, 40)
	compute(t, m, b, 3)
	weights, gradient := hash(m.Weights()), hash(m.Gradient())

	first := fingerprint(t, m)
	if again := fingerprint(t, m); again != first {
		t.Errorf("fingerprint %s, again %s", first, again)
	}
	if hash(m.Weights()) != weights {
		t.Error("the weights are not what they were")
	}
	compute(t, m, b, 3)
	if hash(m.Gradient()) != gradient {
		t.Error("the model does not compute with its weights again")
	}

	clear(m.Weights()) // other weights, the same arithmetic
	if err := m.WeightsChanged(); err != nil {
		t.Fatal(err)
	}
	if other := fingerprint(t, m); other != first {
		t.Error("the fingerprint depends on the weights")
	}
	if other := fingerprint(t, open(t, cfg, bert.Options{Threads: 1, Precision: "bf16", Device: device()})); other == first {
		t.Error("the same fingerprint with another precision")
	}
	cfg.Activation = "gelu_new"
	if other := fingerprint(t, open(t, cfg, bert.Options{Threads: 1, Device: device()})); other == first {
		t.Error("the same fingerprint with another activation")
	}
}

// Sums are cut differently for another number of threads.
func TestFingerprintOfAnotherThreadCount(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one core: libtorch does not cut its sums")
	}
	cfg := small()
	cfg.VocabSize, cfg.HiddenSize, cfg.IntermediateSize, cfg.Heads, cfg.MaxPositions = 1000, 128, 512, 2, 128
	one := fingerprint(t, open(t, cfg, bert.Options{Threads: 1}))
	two := fingerprint(t, open(t, cfg, bert.Options{Threads: 2}))
	if one == two {
		t.Error("the same fingerprint with one thread and with two")
	}
}
