//go:build cgo

package bert

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unsafe"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/shard/sampler"
)

// Seeds of the weights and the batch of a fingerprint. They never change, since
// machines compare fingerprints.
const (
	fingerprintWeights = 0x66707277
	fingerprintBatch   = 0x66707262
	fingerprintDropout = 0x66707264
)

// The shape of its micro-batch never changes either.
const fingerprintRows = 2

func fingerprintSeq(positions int) int { return min(128, positions) }

// FingerprintWork returns about how many times the work of a fingerprint a micro-batch of
// the given shape is, for a model with that many positions. Attention, which grows with
// the square of the length, is the smaller part.
func FingerprintWork(rows, seq, positions int) float64 {
	return max(1, 2*float64(rows*seq)/float64(fingerprintRows*fingerprintSeq(positions)))
}

// Fingerprint is the SHA-256 of the gradient of one fixed micro-batch, with
// dropout, under fixed weights of the model's own architecture: two machines
// with the same fingerprint do the same arithmetic. It saves and restores
// the weights; it overwrites the gradient.
func Fingerprint(m *Model) (string, error) {
	if m.closed() {
		return "", fmt.Errorf("fingerprint: %w", errClosed)
	}
	aside := append([]float32(nil), m.weights...)
	fixedWeights(m.weights, m.layout)
	err := m.WeightsChanged()
	if err == nil {
		_, err = m.Compute(fixedBatch(m.cfg, fingerprintRows, fingerprintSeq(m.cfg.MaxPositions)), fingerprintDropout)
	}
	copy(m.weights, aside)
	if restored := m.WeightsChanged(); err == nil {
		err = restored
	}
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m.grads))), 4*len(m.grads)))
	return hex.EncodeToString(sum[:]), nil
}

// fixedWeights writes weights that are the same everywhere, with about the spread
// of an initialised model. model.Init would take seconds for a large model: its
// normal numbers cost logarithms.
func fixedWeights(w []float32, l model.Layout) {
	for k, t := range l.Tensors {
		part := w[t.Offset : t.Offset+t.Len]
		var center float32
		if strings.HasSuffix(t.Name, "LayerNorm.weight") {
			center = 1
		}
		state := rng.Mix(fingerprintWeights, uint64(k))
		for i := range part {
			state = state*6364136223846793005 + 1442695040888963407
			// 24 bits and powers of two: exact, so that no rounding can differ.
			part[i] = center + float32(int32(state>>40)-1<<23)*(1.0/(1<<28))
		}
	}
}

// fixedBatch draws a batch of random tokens, the last row with padding.
func fixedBatch(c model.Config, rows, seq int) sampler.Batch {
	r := rng.New(fingerprintBatch)
	b := sampler.Batch{
		Rows: rows, Seq: seq,
		IDs: make([]int64, rows*seq), Types: make([]int64, rows*seq), Mask: make([]int64, rows*seq),
		Next: make([]int64, rows),
	}
	for row := range rows {
		length := seq
		if row == rows-1 {
			length -= seq / 8
		}
		b.Next[row] = int64(row % 2)
		for col := range seq {
			i := row*seq + col
			b.IDs[i] = int64(c.PadID)
			if col >= length {
				continue
			}
			b.IDs[i] = int64(r.IntN(c.VocabSize))
			b.Mask[i] = 1
			b.Types[i] = int64(min(col*2/seq, c.TypeVocabSize-1))
			if col%7 == 3 { // about the share of a pretraining batch
				b.Positions = append(b.Positions, int64(i))
				b.Labels = append(b.Labels, int64(r.IntN(c.VocabSize)))
			}
		}
		b.Tokens += length
	}
	return b
}
