//go:build cgo

package bert

import (
	"errors"
	"fmt"

	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/torch"
)

// Compute fills Gradient, or the buffer from which the replica of Hold takes it, with the gradient of the mean MLM loss over the masked
// positions plus the mean next-sentence loss over the rows. Dropout is drawn
// from the seed alone. Losses that are not finite are no error.
func (m *Model) Compute(b sampler.Batch, dropoutSeed uint64) (replica.Measured, error) {
	var out replica.Measured
	err := m.check(b)
	if err == nil {
		err = m.compute(b, dropoutSeed, &out)
	}
	if err != nil {
		return out, fmt.Errorf("compute gradient: %w", err)
	}
	return out, nil
}

func (m *Model) compute(b sampler.Batch, seed uint64, out *replica.Measured) error {
	if m.cpu != nil {
		return m.computeOnCPU(b, seed, true, out)
	}
	if err := torch.Seed(seed); err != nil {
		return err
	}
	if err := torch.Zero(m.flatGrad); err != nil {
		return err
	}
	err := m.forward(b, true, func(loss *ts.Tensor, measured torch.Measures) error {
		*out = measures(b, measured)
		return torch.Backward(loss)
	})
	switch {
	case err != nil || !m.apart:
		return err
	case m.held != nil:
		return torch.Wait(m.flatGrad)
	}
	return torch.Copy(m.hostGrad, m.flatGrad)
}

// Evaluate measures a batch without dropout. It does not change the gradient.
func (m *Model) Evaluate(b sampler.Batch) (replica.Measured, error) {
	var out replica.Measured
	err := m.check(b)
	if err == nil && m.cpu != nil {
		err = m.computeOnCPU(b, 0, false, &out)
	} else if err == nil {
		err = torch.WithoutGrad(func() error {
			return m.forward(b, false, func(_ *ts.Tensor, measured torch.Measures) error {
				out = measures(b, measured)
				return nil
			})
		})
	}
	if err != nil {
		return out, fmt.Errorf("evaluate: %w", err)
	}
	return out, nil
}

// forward runs a batch through the model and passes the loss to use.
func (m *Model) forward(b sampler.Batch, training bool, use func(*ts.Tensor, torch.Measures) error) (err error) {
	var s scope
	defer s.close(&err)
	mlm, nsp, err := m.logits(&s, inputs{b.Rows, b.Seq, b.IDs, b.Types, b.Mask, b.Positions}, training)
	if err != nil {
		return err
	}
	labels, err := m.ints(&s, b.Labels)
	if err != nil {
		return err
	}
	next, err := m.ints(&s, b.Next)
	if err != nil {
		return err
	}
	loss, measured, err := torch.Losses(mlm, nsp, labels, next)
	if err != nil {
		return err
	}
	s.keep(loss)
	return use(loss, measured)
}

// inputs are token ids, segments and mask of shape [rows, seq], and the flat
// positions to predict.
type inputs struct {
	rows, seq                   int
	ids, types, mask, positions []int64
}

// logits returns the logits of the two heads, which s keeps.
func (m *Model) logits(s *scope, in inputs, training bool) (mlm, nsp *ts.Tensor, err error) {
	if err := m.useThreads(); err != nil {
		return nil, nil, err
	}
	shape := torch.Shape{
		Rows: in.rows, Seq: in.seq, Heads: m.cfg.Heads, Eps: m.cfg.LayerNormEps,
		HiddenDropout: m.cfg.HiddenDropout, AttentionDropout: m.cfg.AttentionDropout,
		TanhGELU: m.cfg.Activation == "gelu_new", BF16: m.bf16, Training: training,
	}
	var host [4]*ts.Tensor
	for i, v := range [][]int64{in.ids, in.types, in.mask, in.positions} {
		if host[i], err = m.ints(s, v); err != nil {
			return nil, nil, err
		}
	}
	mask, err := torch.Mask(host[2], shape)
	if err != nil {
		return nil, nil, err
	}
	s.keep(mask)
	x, err := torch.Embed(m.embeddings, host[0], host[1], m.cfg.PadID, shape)
	if err != nil {
		return nil, nil, err
	}
	s.keep(x)
	for n, weights := range m.layers {
		if x, err = torch.Layer(x, mask, weights, shape); err != nil {
			return nil, nil, fmt.Errorf("layer %d: %w", n, err)
		}
		s.keep(x)
	}
	if mlm, nsp, err = torch.Heads(x, host[3], m.heads, shape); err != nil {
		return nil, nil, err
	}
	s.keep(mlm, nsp)
	return mlm, nsp, nil
}

// useThreads sets the model's number of threads: it belongs to the process, and another
// model may have changed it.
func (m *Model) useThreads() error {
	if torch.Threads() == m.threads {
		return nil
	}
	return torch.SetThreads(m.threads)
}

// ints copies integers to the device of the model.
func (m *Model) ints(s *scope, values []int64) (*ts.Tensor, error) {
	t, err := torch.Ints(values)
	if err != nil {
		return nil, err
	}
	s.keep(t)
	if !m.device.IsCuda() {
		return t, nil
	}
	if t, err = t.To(m.device, false); err != nil {
		return nil, err
	}
	s.keep(t)
	return t, nil
}

func measures(b sampler.Batch, t torch.Measures) replica.Measured {
	return replica.Measured{
		MLMLoss: t.MLMLoss, MLMCorrect: t.MLMCorrect, MLMCount: len(b.Positions),
		NSPLoss: t.NSPLoss, NSPCorrect: t.NSPCorrect, NSPCount: b.Rows, Tokens: b.Tokens,
	}
}

// scope is the list of tensors to drop at the end of a computation.
type scope struct{ tensors []*ts.Tensor }

func (s *scope) keep(t ...*ts.Tensor) { s.tensors = append(s.tensors, t...) }

// close drops the tensors and adds failures to err.
func (s *scope) close(err *error) {
	for _, t := range s.tensors {
		*err = errors.Join(*err, t.Drop())
	}
}
