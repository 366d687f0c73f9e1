//go:build cgo

package bert_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/bert"
)

// TestMain lets the test binary be the other process of a test: with hashOf in
// its environment it prints what gradientHash finds.
func TestMain(m *testing.M) {
	precision := os.Getenv(hashOf)
	if precision == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	hash, err := gradientHash(precision)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(hash)
}

// small is an architecture whose tensors leave gaps in the flat buffer.
func small() model.Config {
	return model.Config{
		VocabSize: 211, HiddenSize: 48, Layers: 2, Heads: 3, IntermediateSize: 80, MaxPositions: 48, TypeVocabSize: 2,
		HiddenDropout: 0.1, AttentionDropout: 0.1, InitStd: 0.05, LayerNormEps: 1e-12, Activation: model.ActivationGELU,
	}
}

// odd is an architecture that only libtorch's operations compute.
func odd() model.Config {
	cfg := small()
	cfg.HiddenSize, cfg.IntermediateSize = 36, 70
	return cfg
}

// open returns a model with initial weights, owned by the test's OS thread.
func open(t testing.TB, cfg model.Config, o bert.Options) *bert.Model {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	m, err := initialised(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func initialised(cfg model.Config, o bert.Options) (*bert.Model, error) {
	layout := model.NewLayout(cfg)
	m, err := bert.New(cfg, layout, o)
	if err != nil {
		return nil, err
	}
	copy(m.Weights(), model.Init(cfg, layout, 7))
	return m, m.WeightsChanged()
}

// batch draws rows of different lengths, the first without padding.
func batch(cfg model.Config, seed uint64, rows, seq int) sampler.Batch {
	r := rng.New(seed)
	n := rows * seq
	b := sampler.Batch{
		Rows: rows, Seq: seq,
		IDs: make([]int64, n), Types: make([]int64, n), Mask: make([]int64, n), Next: make([]int64, rows),
	}
	for i := range b.IDs {
		b.IDs[i] = int64(cfg.PadID)
	}
	for row := range rows {
		length := seq - row*seq/(2*rows)
		b.Next[row] = int64(r.IntN(2))
		for col := range length {
			i := row*seq + col
			b.IDs[i] = int64(1 + r.IntN(cfg.VocabSize-1))
			b.Mask[i] = 1
			b.Types[i] = int64(col * 2 / length)
			if col%7 == 3 {
				b.Positions = append(b.Positions, int64(i))
				b.Labels = append(b.Labels, int64(r.IntN(cfg.VocabSize)))
			}
		}
		b.Tokens += length
	}
	return b
}

func compute(t testing.TB, m *bert.Model, b sampler.Batch, seed uint64) {
	t.Helper()
	if _, err := m.Compute(b, seed); err != nil {
		t.Fatal(err)
	}
}

func hash(values []float32) string {
	sum := sha256.Sum256(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values)))
	return hex.EncodeToString(sum[:])
}

// apart is the norm of the difference over the norm of want.
func apart(got, want []float32) float64 {
	var difference, size float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		difference += d * d
		size += float64(want[i]) * float64(want[i])
	}
	if len(got) != len(want) || math.IsNaN(difference) {
		return math.Inf(1)
	}
	if difference == 0 {
		return 0
	}
	return math.Sqrt(difference / size)
}

func norm(values []float32) float64 {
	var sum float64
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}
