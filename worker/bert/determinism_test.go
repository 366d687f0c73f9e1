//go:build cgo

package bert_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/worker/bert"
)

// hashOf names, in the environment of the test binary, the precision whose
// gradientHash it prints.
const hashOf = "GRAMME_TEST_GRADIENT_HASH"

var precisions = []string{"f32", "bf16"}

// device is where the tests compute: GRAMME_TEST_DEVICE, by default the CPU.
func device() string { return os.Getenv("GRAMME_TEST_DEVICE") }

// gradientHash is that of one gradient of a fresh model with dropout, on one
// thread.
func gradientHash(precision string) (string, error) {
	m, err := initialised(small(), bert.Options{Precision: precision, Threads: 1, Device: device()})
	if err != nil {
		return "", err
	}
	if _, err := m.Compute(batch(small(), 1, 4, 48), 11); err != nil {
		return "", err
	}
	return hash(m.Gradient()), m.Close()
}

func TestSameBits(t *testing.T) {
	for _, precision := range precisions {
		for _, threads := range []int{1, 2} {
			t.Run(precision+"/"+string(rune('0'+threads)), func(t *testing.T) {
				cfg := small()
				m := open(t, cfg, bert.Options{Precision: precision, Threads: threads, Device: device()})
				b := batch(cfg, 1, 4, 48)
				compute(t, m, b, 11)
				first := hash(m.Gradient())
				compute(t, m, b, 11)
				if hash(m.Gradient()) != first {
					t.Error("the same batch and seed again: other bits")
				}
				for seed, rows := range []int{1, 7, 4, 16} {
					compute(t, m, batch(cfg, uint64(100+seed), rows, 48-7*seed), uint64(seed))
				}
				if _, err := m.Evaluate(batch(cfg, 5, 3, 40)); err != nil {
					t.Fatal(err)
				}
				compute(t, m, b, 11)
				if hash(m.Gradient()) != first {
					t.Error("after other batches and shapes: other bits")
				}
				compute(t, m, b, 12)
				if hash(m.Gradient()) == first {
					t.Error("another seed: the same bits")
				}
				compute(t, m, batch(cfg, 2, 4, 48), 11)
				if hash(m.Gradient()) == first {
					t.Error("another batch: the same bits")
				}
			})
		}
	}
}

func TestSameBitsInAnotherProcess(t *testing.T) {
	runtime.LockOSThread()
	for _, precision := range precisions {
		here, err := gradientHash(precision)
		if err != nil {
			t.Fatal(err)
		}
		other := exec.Command(os.Args[0])
		other.Env = append(os.Environ(), hashOf+"="+precision)
		other.Stderr = os.Stderr
		out, err := other.Output()
		if err != nil {
			t.Fatalf("other process: %v", err)
		}
		if there := strings.TrimSpace(string(out)); there != here {
			t.Errorf("%s: gradient %s here, %s in another process", precision, here, there)
		}
	}
}

// A model computes with its own number of threads, whatever another one of the
// process has set since.
func TestThreadsOfTheModel(t *testing.T) {
	cfg := small()
	one := open(t, cfg, bert.Options{Threads: 1})
	b := batch(cfg, 1, 16, 48)
	compute(t, one, b, 11)
	first := hash(one.Gradient())
	two := open(t, cfg, bert.Options{Threads: 2})
	compute(t, two, b, 11)
	compute(t, one, b, 11)
	if hash(one.Gradient()) != first {
		t.Error("the gradient of a model on one thread depends on another model")
	}
	if one.Threads() != 1 || two.Threads() != 2 {
		t.Errorf("%d and %d threads, want 1 and 2", one.Threads(), two.Threads())
	}
}

// The ring sums the whole flat buffer, and the gaps of the weights stay zero
// only if those of the gradient are.
func TestNothingOutsideTensors(t *testing.T) {
	for _, precision := range precisions {
		cfg := small()
		m := open(t, cfg, bert.Options{Precision: precision, Device: device()})
		b := batch(cfg, 1, 4, 40)
		compute(t, m, b, 11)
		layout := model.NewLayout(cfg)
		outside := make([]bool, layout.Total)
		for i := range outside {
			outside[i] = true
		}
		for _, tensor := range layout.Tensors {
			clear(outside[tensor.Offset : tensor.Offset+tensor.Len])
		}
		gaps := 0
		for i, out := range outside {
			if out {
				gaps++
				if v := m.Gradient()[i]; v != 0 {
					t.Fatalf("%s: gradient %g at %d, between tensors", precision, v, i)
				}
			}
		}
		if gaps == 0 {
			t.Error("a layout without gaps: nothing was tested")
		}
		// No token stands at the last positions of the table.
		positions, _ := layout.Find("bert.embeddings.position_embeddings.weight")
		rows := m.Gradient()[positions.Offset : positions.Offset+positions.Len]
		if n := norm(rows[40*cfg.HiddenSize:]); n != 0 {
			t.Errorf("%s: gradient of norm %g at positions that no token has", precision, n)
		}
		if n := norm(rows[:40*cfg.HiddenSize]); n == 0 {
			t.Errorf("%s: no gradient at positions", precision)
		}
	}
}

// The embedding of padding learns nothing from being looked up, also where
// attention sees it; what it gets comes from the decoder, which the words of no
// masked position touch.
func TestPaddingLearnsNothing(t *testing.T) {
	for _, precision := range precisions {
		cfg := small()
		m := open(t, cfg, bert.Options{Precision: precision, Device: device()})
		b := batch(cfg, 1, 4, 40)
		b.Positions, b.Labels = nil, nil
		b.IDs[2] = int64(cfg.PadID)
		compute(t, m, b, 11)
		words, _ := model.NewLayout(cfg).Find("bert.embeddings.word_embeddings.weight")
		row := m.Gradient()[words.Offset+cfg.PadID*cfg.HiddenSize:][:cfg.HiddenSize]
		if n := norm(row); n != 0 {
			t.Errorf("%s: gradient of norm %g for the embedding of padding", precision, n)
		}
		other := m.Gradient()[words.Offset+int(b.IDs[1])*cfg.HiddenSize:][:cfg.HiddenSize]
		if norm(other) == 0 {
			t.Errorf("%s: no gradient for a word that was looked up", precision)
		}
	}
}

// Dropout changes single losses, hardly their mean.
func TestDropoutIsUnbiased(t *testing.T) {
	cfg := small()
	m := open(t, cfg, bert.Options{Device: device()})
	b := batch(cfg, 1, 8, 40)
	want, err := m.Evaluate(b)
	if err != nil {
		t.Fatal(err)
	}
	const draws = 100
	var sum float64
	seen := map[float64]bool{}
	for seed := range uint64(draws) {
		got, err := m.Compute(b, seed)
		if err != nil {
			t.Fatal(err)
		}
		sum += got.MLMLoss
		seen[got.MLMLoss] = true
	}
	if mean := sum / draws; mean < want.MLMLoss*0.97 || mean > want.MLMLoss*1.03 {
		t.Errorf("mean MLM loss of %d draws %.4f, without dropout %.4f", draws, mean, want.MLMLoss)
	}
	if len(seen) < draws*9/10 {
		t.Errorf("%d different losses of %d seeds", len(seen), draws)
	}
}

func TestEvaluateLeavesTheGradient(t *testing.T) {
	m := open(t, small(), bert.Options{Device: device()})
	compute(t, m, batch(small(), 1, 4, 40), 11)
	before := hash(m.Gradient())
	if _, err := m.Evaluate(batch(small(), 2, 4, 40)); err != nil {
		t.Fatal(err)
	}
	if hash(m.Gradient()) != before {
		t.Error("Evaluate changed the gradient")
	}
}
