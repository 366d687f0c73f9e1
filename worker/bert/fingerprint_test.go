//go:build cgo

package bert_test

import (
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

// Blocks of a CPU give the same bits on any number of threads; libtorch cuts its sums
// differently for another number.
func TestFingerprintOfAnotherThreadCount(t *testing.T) {
	cfg := small()
	cfg.VocabSize, cfg.HiddenSize, cfg.IntermediateSize, cfg.Heads, cfg.MaxPositions = 1000, 128, 512, 2, 128
	for _, precision := range precisions {
		one := open(t, cfg, bert.Options{Threads: 1, Precision: precision})
		if one.Engine() == bert.Autograd {
			continue
		}
		first := fingerprint(t, one)
		for _, threads := range []int{2, 3} {
			if fingerprint(t, open(t, cfg, bert.Options{Threads: threads, Precision: precision})) != first {
				t.Errorf("%s: another fingerprint with %d threads than with one", precision, threads)
			}
		}
		if fingerprint(t, open(t, cfg, bert.Options{Threads: 1, Precision: precision, Engine: bert.Autograd})) == first {
			t.Errorf("%s: the same fingerprint by libtorch's operations", precision)
		}
	}
}
