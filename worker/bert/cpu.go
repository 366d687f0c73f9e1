//go:build cgo

package bert

import (
	"fmt"
	"unsafe"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/torch"
)

// newCPUEncoder returns nil where libtorch's own operations must serve: on a CPU without
// the instructions, or with an architecture of odd sizes.
func (m *Model) newCPUEncoder(most torch.InstructionSet) (*torch.CPUEncoder, error) {
	offsets := map[string]int{}
	for _, t := range m.layout.Tensors {
		offsets[t.Name] = t.Offset
	}
	var weights, gradients []unsafe.Pointer
	add := func(prefix string, names []string) {
		for _, name := range names {
			offset := offsets[prefix+name]
			weights = append(weights, unsafe.Pointer(&m.weights[offset]))
			gradients = append(gradients, unsafe.Pointer(&m.grads[offset]))
		}
	}
	add("bert.embeddings.", embedNames[:])
	for n := range m.cfg.Layers {
		add(fmt.Sprintf("bert.encoder.layer.%d.", n), layerNames[:])
	}
	add("", headsNames[:])
	c := m.cfg
	return torch.NewCPUEncoder(torch.CPUShape{
		Layers: c.Layers, Hidden: c.HiddenSize, Heads: c.Heads, Inner: c.IntermediateSize, Vocabulary: c.VocabSize,
		Positions: c.MaxPositions, Types: c.TypeVocabSize, Pad: c.PadID,
		Eps: c.LayerNormEps, HiddenDropout: c.HiddenDropout, AttentionDropout: c.AttentionDropout,
		TanhGELU: c.Activation == "gelu_new", BF16: m.bf16, Most: most,
	}, weights, gradients)
}

// AnyThreads reports whether the bits of a gradient are the same on any number of threads.
func (m *Model) AnyThreads() bool { return m.cpu != nil }

func (m *Model) computeOnCPU(b sampler.Batch, seed uint64, training bool, out *replica.Measured) error {
	if err := m.useThreads(); err != nil {
		return err
	}
	measured, err := m.cpu.Compute(torch.CPUBatch{
		Rows: b.Rows, Seq: b.Seq, IDs: b.IDs, Types: b.Types, Mask: b.Mask, Positions: b.Positions, Labels: b.Labels, Next: b.Next,
	}, seed, training)
	*out = measures(b, measured)
	return err
}
