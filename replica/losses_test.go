package replica

import (
	"fmt"
	"math"
	"testing"

	"github.com/gramme-project/gramme/internal/divergence"
)

// lossesOf applies a step of micro-batches with these MLM losses; the NSP loss of each
// is a quarter.
func lossesOf(t *testing.T, s *State, r Rule, losses []float64) Outcome {
	t.Helper()
	a := NewAccumulator(r, 1)
	a.Reset(s)
	for i, l := range losses {
		if err := a.Add(i, make([]float32, r.Layout.Total), Measured{MLMLoss: l, NSPLoss: l / 4, Tokens: 1}); err != nil {
			t.Fatal(err)
		}
	}
	o, err := newApplier(t, r, 1).Apply(s, a.Entry())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A loss is what it is, however large: none is cut to what is usual.
func TestLossIsNotCapped(t *testing.T) {
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		for _, c := range []struct {
			losses []float64
			want   float64
		}{
			{[]float64{7, 8, 9, 10}, 8.5},
			{[]float64{0, 0, 0, 0}, 0},
			{[]float64{101, 300, 5440, 2e4}, 6460.25},
			{[]float64{1e9, 1e9, 1e9, 3e9}, 1.5e9},
			{[]float64{1e14, 1, 1, 1}, 2.5e13 + 0.75},
			{[]float64{7, 1e15, 7, 7}, math.Inf(1)},
			{[]float64{7, math.Inf(1), 7, 7}, math.Inf(1)},
			{[]float64{math.Inf(1), math.NaN(), 7, 7}, math.NaN()},
		} {
			r := testRule(4, 2)
			r.Reduce = mode
			s := newState(t, r, 1)
			o := lossesOf(t, s, r, c.losses)
			for name, pair := range map[string][2]float64{"MLM": {o.MLMLoss, c.want}, "NSP": {4 * o.NSPLoss, c.want}} {
				// Sums of plain floats keep 24 bits.
				if got, want := pair[0], pair[1]; fmt.Sprint(got) != fmt.Sprint(want) && !(math.Abs(got-want) <= 1e-6*want) {
					t.Errorf("%s %v: %s loss %g, want %g", mode, c.losses, name, got, want)
				}
			}
		}
	}
}

// The means of any stretch of steps follow from the states at its ends; what is not
// finite is left out and still remembered.
func TestLossesOfAStretch(t *testing.T) {
	r := testRule(2, 100)
	s := newState(t, r, 1)
	lossesOf(t, s, r, []float64{9, 11})
	before := s.Meta
	lossesOf(t, s, r, []float64{8, 8})
	lossesOf(t, s, r, []float64{math.NaN(), 8})
	lossesOf(t, s, r, []float64{4, 4})
	if mlm, nsp, steps := s.Losses.Mean(before.Losses); mlm != 6 || nsp != 1.5 || steps != 2 {
		t.Errorf("means %g and %g of %d steps, want 6 and 1.5 of 2", mlm, nsp, steps)
	}
	if mlm, nsp, steps := s.Losses.Mean(s.Losses); mlm != 0 || nsp != 0 || steps != 0 {
		t.Errorf("means %g and %g of %d steps of none", mlm, nsp, steps)
	}
	if c := s.History; c.From != 1 || c.Start != 12.5 || c.Skipped != 0b10 || c.NotFinite != 0b10 {
		t.Errorf("course %+v", c)
	}
}

// A run that skips every step is told by any replica from its state, also by one that
// took it over.
func TestStateTellsDivergence(t *testing.T) {
	r := testRule(2, 100)
	s := newState(t, r, 1)
	for range 20 {
		lossesOf(t, s, r, []float64{math.NaN(), math.NaN()})
	}
	b, err := s.EncodeMeta()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := DecodeMeta(r, b)
	if err != nil {
		t.Fatal(err)
	}
	if f := meta.History.Finding(); f.Kind != divergence.Stuck || meta.Updates != 0 {
		t.Errorf("finding %+v after %d updates", f, meta.Updates)
	}
}
