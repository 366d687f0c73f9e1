//go:build cgo

package bert

import (
	"errors"
	"fmt"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/worker/torch"
)

// Options determine how a model computes, not what.
type Options struct {
	Device    string // DeviceCPU (default), DeviceCUDA or DeviceTensors
	Precision string // "f32" (default) or "bf16"
	Threads   int    // cores of an operation on the CPU; 0 leaves libtorch's choice
	Engine    string // "" (default, the fastest), or one of the Engines
}

// Devices.
const (
	DeviceCPU  = "cpu"
	DeviceCUDA = "cuda"
	// DeviceTensors is a CPU that works as a GPU does: by libtorch's operations, on tensors apart
	// from the host's buffers. It is for tests of what a GPU does.
	DeviceTensors = "tensors"
)

// Engines: libtorch's operations, as a GPU computes, or blocks that are written by hand
// for an instruction set. Where one does not serve, the next below does.
const (
	Autograd = "autograd"
	AVX2     = "avx2"
	AVX512   = "avx512"
	AMX      = "amx"
)

var instructionSets = map[string]torch.InstructionSet{AVX2: torch.AVX2, AVX512: torch.AVX512, AMX: torch.AMX}

// Model is an encoder with the two pretraining heads.
type Model struct {
	cfg     model.Config
	layout  model.Layout
	device  gotch.Device
	apart   bool // the computation has buffers of its own
	bf16    bool
	threads int

	host, hostGrad *ts.Tensor // flat, on the CPU
	flat, flatGrad *ts.Tensor // where the computation is: the same tensors unless apart
	weights, grads []float32  // views of host and hostGrad

	embeddings torch.EmbedWeights
	layers     []torch.LayerWeights
	heads      torch.HeadsWeights
	owned      []*ts.Tensor

	cpu  *torch.CPUEncoder // computes in place of the blocks, or nil
	held *torch.Replica    // takes the gradients where they are, or nil
}

// New returns a model whose weights are zero. l must be model.NewLayout(cfg).
// The caller closes it.
func New(cfg model.Config, l model.Layout, o Options) (*Model, error) {
	m, err := newModel(cfg, l, o)
	if err != nil {
		if m != nil {
			err = errors.Join(err, m.Close())
		}
		return nil, fmt.Errorf("make model: %w", err)
	}
	return m, nil
}

func newModel(cfg model.Config, l model.Layout, o Options) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if n := model.NewLayout(cfg).Total; n != l.Total {
		return nil, fmt.Errorf("layout of %d elements, the architecture has %d", l.Total, n)
	}
	m := &Model{cfg: cfg, layout: l, device: gotch.CPU}
	switch o.Precision {
	case "", "f32":
	case "bf16":
		m.bf16 = true
	default:
		return nil, fmt.Errorf("precision %q: not f32 or bf16", o.Precision)
	}
	switch o.Device {
	case "", DeviceCPU:
	case DeviceTensors:
		m.apart = true
	case DeviceCUDA:
		if err := torch.LoadCUDA(); err != nil {
			return nil, err
		}
		m.device, m.apart = gotch.CudaBuilder(0), true
	default:
		return nil, fmt.Errorf("device %q: not %s, %s or %s", o.Device, DeviceCPU, DeviceCUDA, DeviceTensors)
	}
	if o.Threads < 0 {
		return nil, fmt.Errorf("%d threads: neither a number of threads nor 0 for libtorch's choice", o.Threads)
	}
	if o.Threads > 0 {
		if err := torch.SetThreads(o.Threads); err != nil {
			return nil, err
		}
	}
	m.threads = torch.Threads()
	torch.KeepMemory()
	if err := m.allocate(); err != nil {
		return m, err
	}
	if err := m.place(); err != nil || o.Engine == Autograd || m.apart {
		return m, err
	}
	var err error
	m.cpu, err = m.newCPUEncoder(instructionSets[o.Engine])
	return m, err
}

// allocate makes the flat buffers.
func (m *Model) allocate() error {
	for _, b := range []struct{ host, device **ts.Tensor }{{&m.host, &m.flat}, {&m.hostGrad, &m.flatGrad}} {
		t, err := ts.Zeros([]int64{int64(m.layout.Total)}, gotch.Float, gotch.CPU)
		if err != nil {
			return err
		}
		*b.host, *b.device = t, t
		m.owned = append(m.owned, t)
		if m.apart {
			if t, err = ts.Zeros([]int64{int64(m.layout.Total)}, gotch.Float, m.device); err != nil {
				return err
			}
			*b.device = t
			m.owned = append(m.owned, t)
		}
	}
	var err error
	if m.weights, err = torch.Floats(m.host); err != nil {
		return err
	}
	m.grads, err = torch.Floats(m.hostGrad)
	return err
}

// place makes every tensor of the layout a leaf of autograd inside the flat buffer, with
// its gradient in the other one, and gives the tensors to the blocks.
func (m *Model) place() error {
	parts := map[string]*ts.Tensor{}
	for _, t := range m.layout.Tensors {
		leaf, err := m.part(m.flat, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		home, err := m.part(m.flatGrad, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if err := torch.Leaf(leaf, home); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		parts[t.Name] = leaf
	}
	var missing error
	pick := func(weights []*ts.Tensor, prefix string, names []string) {
		for i := range weights {
			if weights[i] = parts[prefix+names[i]]; weights[i] == nil {
				missing = fmt.Errorf("layout without %s", prefix+names[i])
			}
		}
	}
	pick(m.embeddings[:], "bert.embeddings.", embedNames[:])
	m.layers = make([]torch.LayerWeights, m.cfg.Layers)
	for n := range m.layers {
		pick(m.layers[n][:], fmt.Sprintf("bert.encoder.layer.%d.", n), layerNames[:])
	}
	pick(m.heads[:], "", headsNames[:])
	return missing
}

// part returns the piece of a flat buffer that belongs to a tensor of the layout.
func (m *Model) part(flat *ts.Tensor, t model.Tensor) (*ts.Tensor, error) {
	piece, err := flat.Narrow(0, int64(t.Offset), int64(t.Len), false)
	if err != nil {
		return nil, err
	}
	shape := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int64(d)
	}
	view, err := piece.View(shape, true)
	if err != nil {
		return nil, err
	}
	detached, err := view.Detach(true)
	if err != nil {
		return nil, err
	}
	m.owned = append(m.owned, detached)
	return detached, nil
}

// Weights returns the flat buffer of the weights. Changes take effect with WeightsChanged.
func (m *Model) Weights() []float32 { return m.weights }

// Gradient returns the flat buffer that Compute fills, until Hold.
func (m *Model) Gradient() []float32 { return m.grads }

// Threads returns the number of cores of an operation. The bits of a gradient depend on it
// unless AnyThreads.
func (m *Model) Threads() int { return m.threads }

// Engine says how the model computes: it is one of the Engines.
func (m *Model) Engine() string {
	if m.cpu != nil {
		for name, set := range instructionSets {
			if set == m.cpu.InstructionSet() {
				return name
			}
		}
	}
	return Autograd
}

// WeightsChanged makes changes to Weights take effect.
func (m *Model) WeightsChanged() error {
	if m.closed() {
		return fmt.Errorf("use new weights: %w", errClosed)
	}
	if m.cpu != nil {
		return m.cpu.WeightsChanged()
	}
	if !m.apart {
		return nil
	}
	return torch.Copy(m.flat, m.host)
}

// Hold returns a replica that keeps and updates the weights where the computation is, and
// takes gradients from there: Compute no longer fills Gradient. It returns nil where that is
// the host's memory, or where sums are of 16 bits, which only the host adds. The model frees it.
func (m *Model) Hold(r replica.Rule) (*torch.Replica, error) {
	switch {
	case m.closed():
		return nil, fmt.Errorf("hold the replica: %w", errClosed)
	case !m.apart || r.Reduce == replica.Exact16:
		return nil, nil
	case m.held != nil:
		return nil, errors.New("hold the replica: the model holds one")
	}
	var err error
	m.held, err = torch.NewReplica(r, m.flat, m.flatGrad)
	return m.held, err
}

// Close frees everything. Slices from Weights and Gradient are then invalid.
func (m *Model) Close() error {
	var errs []error
	if m.cpu != nil {
		m.cpu.Close()
		m.cpu = nil
	}
	if m.held != nil {
		m.held.Close()
		m.held = nil
	}
	for i := len(m.owned) - 1; i >= 0; i-- {
		errs = append(errs, m.owned[i].Drop())
	}
	m.owned, m.weights, m.grads = nil, nil, nil
	return failures.Of(errs...)
}
