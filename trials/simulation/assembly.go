package simulation

import (
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// assembly puts a state together from the slices of the workers: that of package
// checkpoint, retold. A chunk of a later step drops what was collected; so does one
// of an earlier step in a later generation, because then those are gone who had
// applied the later step.
type assembly struct {
	rule   replica.Rule
	step   uint64
	since  uint64 // newest generation of a chunk
	state  replica.State
	have   map[string][]bool // elements, by part
	meta   []byte
	digest string
	begun  wire.Begun
}

func newAssembly(r replica.Rule) *assembly {
	n := r.Layout.Total
	return &assembly{
		rule:  r,
		state: replica.State{Weights: make([]float32, n), Moment1: make([]float32, n), Moment2: make([]float32, n)},
		have:  map[string][]bool{wire.PartWeights: make([]bool, n), wire.PartMoment1: make([]bool, n), wire.PartMoment2: make([]bool, n)},
	}
}

func (a *assembly) reset(step uint64) {
	a.step, a.meta, a.digest = step, nil, ""
	for _, have := range a.have {
		clear(have)
	}
}

func (a *assembly) add(c chunk) error {
	h := c.header
	switch {
	case h.Step < a.step && h.Generation <= a.since:
		return fmt.Errorf("%w: %w", errRefused, errNewer)
	case h.Step != a.step:
		a.reset(h.Step)
	}
	a.since = max(a.since, h.Generation)
	copy(partOf(&a.state, h.Part)[h.Offset:], c.data)
	for i := range c.data {
		a.have[h.Part][h.Offset+i] = true
	}
	if h.Digest != "" {
		a.meta, a.digest, a.begun = slices.Clone(h.Meta), h.Digest, h.Begun
	}
	return nil
}

// whole reports whether everything of the state is here.
func (a *assembly) whole() bool {
	for _, have := range a.have {
		if slices.Contains(have, false) {
			return false
		}
	}
	return a.digest != ""
}

// finish checks a whole state against its digest. One that does not check out is
// forgotten.
func (a *assembly) finish() (*replica.State, error) {
	meta, err := replica.DecodeMeta(a.rule, a.meta)
	if err == nil {
		a.state.Meta = meta
		var digest string
		if digest, err = replica.Digest(&a.state, 1); err == nil && digest != a.digest {
			err = fmt.Errorf("its digest is %s, the workers say %s", digest, a.digest)
		}
	}
	if err != nil {
		a.reset(a.step)
		return nil, err
	}
	return &a.state, nil
}
