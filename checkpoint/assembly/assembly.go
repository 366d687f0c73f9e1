package assembly

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// assembly is a state that is being put together. That all chunks are of one state is
// verified by the digest that rank 0 sends; a state that is not one is errDiffer.
type assembly struct {
	rule  replica.Rule
	step  uint64
	since uint64 // newest generation of a chunk
	first uint64 // oldest generation of a chunk of this state
	state replica.State
	parts map[string]*part

	about Metadata
	meta  []byte
}

// Metadata describes a state: where it came from, and its digest.
type Metadata struct {
	Digest     string
	Generation uint64
	Loss       number.Float
	Numerics   wire.Numerics
	Lineage    wire.Lineage
}

// part is a flat buffer that is being filled.
type part struct {
	flat []float32
	have []interval // ascending, apart from each other
}

type interval struct{ from, to int } // to excluded

var (
	errOlder  = errors.New("a newer state is being collected")
	errDiffer = errors.New("slices of different states")
)

func newAssembly(r replica.Rule) assembly {
	a := assembly{rule: r, parts: map[string]*part{}}
	for name, flat := range map[string]*[]float32{
		wire.PartWeights: &a.state.Weights, wire.PartMoment1: &a.state.Moment1, wire.PartMoment2: &a.state.Moment2,
	} {
		*flat = make([]float32, r.Layout.Total)
		a.parts[name] = &part{flat: *flat}
	}
	return a
}

// reset begins with nothing, for a step.
func (a *assembly) reset(step uint64) {
	a.step, a.meta, a.about, a.first = step, nil, Metadata{}, ^uint64(0)
	for _, p := range a.parts {
		p.have = p.have[:0]
	}
}

// add takes a chunk. A chunk of a later generation, or of a later step of the same
// generation, replaces what was collected of another step. (If all members that had applied
// a step are lost, its state is never completed, and the others continue from an earlier
// one.) A chunk that came too late is errOlder.
func (a *assembly) add(h wire.SliceHeader, data []byte) error {
	p := a.parts[h.Part]
	switch {
	case p == nil:
		return fmt.Errorf("a state has no part %q", h.Part)
	case h.Step != a.step && (h.Generation < a.since || h.Generation == a.since && h.Step < a.step):
		return fmt.Errorf("step %d: %w, of step %d", h.Step, errOlder, a.step)
	case h.Step > a.rule.Steps:
		return fmt.Errorf("step %d: the run has %d", h.Step, a.rule.Steps)
	case h.Offset < 0 || h.Count < 0 || h.Offset > len(p.flat) || h.Count > len(p.flat)-h.Offset:
		return fmt.Errorf("elements %d+%d: the state has %d", h.Offset, h.Count, len(p.flat))
	case len(data) != 4*h.Count:
		return fmt.Errorf("%d bytes for %d elements", len(data), h.Count)
	}
	if h.Step != a.step {
		a.reset(h.Step)
	}
	a.since, a.first = max(a.since, h.Generation), min(a.first, h.Generation)
	copy(replica.Bytes(p.flat[h.Offset:h.Offset+h.Count]), data)
	p.have = cover(p.have, interval{h.Offset, h.Offset + h.Count})
	if h.Digest != "" {
		a.meta, a.about = slices.Clone(h.Meta), Metadata{h.Digest, h.Generation, h.Loss, h.Numerics, h.Lineage}
	}
	return nil
}

// whole reports whether everything of the state is here.
func (a *assembly) whole() bool {
	for _, p := range a.parts {
		if len(p.have) != 1 || p.have[0] != (interval{0, len(p.flat)}) {
			return false
		}
	}
	return a.about.Digest != ""
}

// check compares a whole state with its digest.
func (a *assembly) check(cores int) error {
	meta, err := replica.DecodeMeta(a.rule, a.meta)
	if err != nil {
		return err
	}
	if meta.Step != a.step {
		return fmt.Errorf("it says that it is of step %d", meta.Step)
	}
	a.state.Meta = meta
	digest, err := replica.Digest(&a.state, cores)
	if err != nil {
		return err
	}
	if digest != a.about.Digest {
		return fmt.Errorf("its digest is %s, the workers say %s: %w", digest, a.about.Digest, errDiffer)
	}
	if t, ok := dirtyGap(a.rule.Layout, &a.state); ok {
		return fmt.Errorf("the gap after tensor %s is not zero", t)
	}
	return nil
}

// dirtyGap finds padding that is not zero. Padding is not stored, so the state would change
// when it is read back.
func dirtyGap(l model.Layout, s *replica.State) (string, bool) {
	for i, t := range l.Tensors {
		end := l.Total
		if i+1 < len(l.Tensors) {
			end = l.Tensors[i+1].Offset
		}
		for _, flat := range [][]float32{s.Weights, s.Moment1, s.Moment2} {
			if slices.ContainsFunc(flat[t.Offset+t.Len:end], func(v float32) bool { return v != 0 }) {
				return t.Name, true
			}
		}
	}
	return "", false
}

// cover adds an interval to a list that ascends.
func cover(have []interval, add interval) []interval {
	if add.from == add.to {
		return have
	}
	out := make([]interval, 0, len(have)+1)
	for _, h := range have {
		switch {
		case h.to < add.from:
			out = append(out, h)
		case add.to < h.from:
			out, add = append(out, add), h
		default:
			add = interval{min(h.from, add.from), max(h.to, add.to)}
		}
	}
	return append(out, add)
}
