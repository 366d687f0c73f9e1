package replica

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/vector"
)

// TestSumFits adds the most that all micro-batches can hold.
func TestSumFits(t *testing.T) {
	for _, microBatches := range []int{1, 3, 64, MaxMicroBatches} {
		sumFits(t, microBatches, Exact)
		if microBatches <= MaxShortMicroBatches {
			sumFits(t, microBatches, Exact16)
		}
	}
}

func sumFits(t *testing.T, microBatches int, reduce Reduce) {
	t.Helper()
	r := testRule(microBatches, 2)
	r.Reduce = reduce
	s := newState(t, r, 1)
	a := NewAccumulator(r, 1)
	a.Reset(s)
	grad := make([]float32, r.Layout.Total)
	grad[0], grad[1] = math.MaxFloat32, -math.MaxFloat32
	for i := range microBatches {
		if err := a.Add(i, grad, Measured{MLMLoss: 1 << 47, NSPLoss: 1 << 47, Tokens: 64 * 512}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := a.Entry()[0], a.Entry()[1]
	if reduce == Exact16 {
		first, second = int32(shorts(a.Entry())[0]), int32(shorts(a.Entry())[1])
	}
	if want := r.maxElement() * int32(microBatches); first != want || second != -want {
		t.Errorf("%s, %d micro-batches: sums %d and %d, not ±%d", reduce, microBatches, first, second, want)
	}
	o, err := newApplier(t, r, 1).Apply(s, a.Entry())
	if err != nil {
		t.Fatal(err)
	}
	if o.MLMLoss != 1<<47 || o.NSPLoss != 1<<47 || o.Clamped != int64(2*microBatches) || o.Tokens != uint64(64*512*microBatches) {
		t.Errorf("%d micro-batches: outcome %+v", microBatches, o)
	}
}

// TestAnySplit gives the micro-batches of a step to any number of workers in any
// order: the sum of their parts must be the same entry.
func TestAnySplit(t *testing.T) {
	t.Run("exact", func(t *testing.T) { anySplit(t, Exact, vector.AddInts) })
	t.Run("exact16", func(t *testing.T) { anySplit(t, Exact16, vector.AddShorts) })
}

func anySplit(t *testing.T, reduce Reduce, add func(dst, a, b []int32)) {
	const microBatches = 7
	random := rand.New(rand.NewPCG(2, 2))
	r := testRule(microBatches, 100_000, 5, 33)
	r.Reduce, r.Seed = reduce, 3
	s := newState(t, r, 1)
	var grads [][]float32
	var measures []Measured
	var clamped int64
	top := math.Ldexp(float64(r.maxElement()), -int(s.Exponents[0]))
	for i := range microBatches {
		g := fill(r.Layout, random, 1)
		g[i] = 1e20
		for _, v := range g { // among so many normal numbers a few are beyond the bound as well
			if math.Abs(float64(v)) > top {
				clamped++
			}
		}
		grads = append(grads, g)
		measures = append(measures, Measured{
			MLMLoss: 7 * random.Float64(), NSPLoss: random.Float64(), MLMCorrect: i, MLMCount: 20, NSPCorrect: 1, NSPCount: 2, Tokens: 100 + i,
		})
	}
	grads[3][70_000] = float32(math.NaN())
	var want []int32
	for try := range 12 {
		workers := 1 + try%microBatches
		parts := make([]*Accumulator, workers)
		for w := range parts {
			parts[w] = NewAccumulator(r, 1+w%3)
			parts[w].Reset(s)
		}
		for _, i := range random.Perm(microBatches) {
			if err := parts[random.IntN(workers)].Add(i, grads[i], measures[i]); err != nil {
				t.Fatal(err)
			}
		}
		entry := make([]int32, r.EntryLen())
		done := 0
		for _, p := range parts {
			add(entry, entry, p.Entry())
			done += len(p.summed)
		}
		if done != microBatches {
			t.Fatalf("%d micro-batches are done, not %d", done, microBatches)
		}
		if want == nil {
			want = entry
		}
		if !slices.Equal(entry, want) {
			t.Fatalf("%d workers give another entry", workers)
		}
	}
	o, err := newApplier(t, r, 1).Apply(s, want)
	if err != nil || !o.Skipped || o.Clamped != clamped {
		t.Errorf("outcome %+v, %v: not %d clamped and skipped", o, err, clamped)
	}
}

func TestAddRefuses(t *testing.T) {
	r := testRule(4, 10)
	a := NewAccumulator(r, 1)
	a.Reset(newState(t, r, 1))
	grad := make([]float32, r.Layout.Total)
	grad[0] = 1
	if err := a.Add(2, grad, Measured{}); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(a.Entry())
	for _, c := range []struct {
		index int
		grad  []float32
		says  string
	}{
		{2, grad, "already"}, {4, grad, "a step has 4"}, {-1, grad, "a step has 4"}, {1, grad[1:], "15 elements, the layout has 16"},
	} {
		if err := a.Add(c.index, c.grad, Measured{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q is not said: %v", c.says, err)
		}
	}
	if !slices.Equal(a.Entry(), before) || len(a.summed) != 1 || !a.summed[2] {
		t.Error("a refused micro-batch changed the sum")
	}
	a.Reset(newState(t, r, 1))
	if err := a.Add(3, make([]float32, r.Layout.Total), Measured{}); err != nil {
		t.Fatal(err)
	}
	if len(a.summed) != 1 || slices.ContainsFunc(a.Entry()[:r.Layout.Total], func(w int32) bool { return w != 0 }) {
		t.Error("the first micro-batch after reset is added to the last step's")
	}
	a.Reset(newState(t, r, 1))
	if len(a.summed) != 0 || slices.ContainsFunc(a.Entry(), func(w int32) bool { return w != 0 }) {
		t.Error("reset leaves something")
	}
}

func TestVotes(t *testing.T) {
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		r := testRule(1, 10)
		r.Reduce = mode
		for _, v := range []Votes{{}, {Stop: true}, {Save: true}, {Stop: true, Save: true}} {
			s := newState(t, r, 1)
			a := NewAccumulator(r, 1)
			a.Reset(s)
			a.Vote(Votes{Stop: true, Save: true})
			a.Vote(v) // the last one counts
			if err := a.Add(0, make([]float32, r.Layout.Total), Measured{}); err != nil {
				t.Fatal(err)
			}
			o, err := newApplier(t, r, 1).Apply(s, a.Entry())
			if err != nil || o.Stop != v.Stop || o.Save != v.Save {
				t.Errorf("%s: voted %+v, outcome %+v, %v", mode, v, o, err)
			}
		}
	}
}

// TestMeasures adds measures and compares the means of the outcome.
func TestMeasures(t *testing.T) {
	for _, mode := range []Reduce{Exact, Exact16, Float} {
		r := testRule(4, 10)
		r.Reduce = mode
		s := newState(t, r, 1)
		a := NewAccumulator(r, 1)
		a.Reset(s)
		for i := range 4 {
			err := a.Add(i, make([]float32, r.Layout.Total), Measured{
				MLMLoss: float64(i) + 0.25, NSPLoss: 0.5, MLMCorrect: i, MLMCount: 6, NSPCorrect: 1, NSPCount: 2, Tokens: 1000 + i,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		o, err := newApplier(t, r, 1).Apply(s, a.Entry())
		if err != nil {
			t.Fatal(err)
		}
		want := Outcome{
			Step: 1, MLMLoss: 1.75, NSPLoss: 0.5, MLMAccuracy: 6.0 / 24, NSPAccuracy: 0.5, Tokens: 4006,
			LearningRate: r.Optimizer.LearningRate / 3,
		}
		if o != want {
			t.Errorf("%s: outcome %+v, not %+v", mode, o, want)
		}
		if s.Tokens != 4006 || s.Samples != 8 {
			t.Errorf("%s: state counts %d tokens, %d samples", mode, s.Tokens, s.Samples)
		}
	}
}

// TestAgree sums the parts of workers of which one may hold another state.
func TestAgree(t *testing.T) {
	for _, reduce := range []Reduce{Exact, Exact16, Float} {
		r := testRule(4, 100)
		r.Reduce = reduce
		digest := []string{"0123456789abcdef0123", "0123456789abcdef0123", "fffffffffffffff00000"}
		sum := func(digests ...string) (entry []int32, parts [][]int32) {
			entry = make([]int32, r.EntryLen())
			total := r.counters(entry)
			for _, d := range digests {
				a := NewAccumulator(r, 1)
				a.Reset(newState(t, r, 1))
				a.Vote(Votes{Digest: d})
				part := r.counters(a.Entry())
				for i := range fixedWords {
					total.add(i, part.get(i))
				}
				parts = append(parts, a.Entry())
			}
			return entry, parts
		}
		entry, parts := sum(digest[0], digest[1])
		if !r.SameStates(entry, parts[0]) || !r.SameStates(entry, parts[1]) {
			t.Errorf("%s: equal states do not agree", reduce)
		}
		entry, parts = sum(digest...)
		for i, p := range parts {
			if r.SameStates(entry, p) {
				t.Errorf("%s: worker %d does not see that a state differs", reduce, i)
			}
		}
		entry, parts = sum(digest[0], "", digest[2][:4])
		if !r.SameStates(entry, parts[0]) || !r.SameStates(entry, parts[1]) {
			t.Errorf("%s: a member that gives no digest disagrees", reduce)
		}
		if entry, parts = sum("", ""); !r.SameStates(entry, parts[0]) {
			t.Errorf("%s: no digests disagree", reduce)
		}
		many := make([]string, 256)
		for i := range many {
			many[i] = "ffffffffffff"
		}
		if entry, parts = sum(many...); !r.SameStates(entry, parts[9]) {
			t.Errorf("%s: the sum of 256 digests overflows", reduce)
		}
	}
}
