package replica

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestMetaRoundTrip(t *testing.T) {
	r := testRule(3, 10, 20)
	s := newState(t, r, 1)
	s.Step, s.Updates, s.Clamped, s.Samples, s.Tokens = 7, 6, math.MaxUint64, 8, 9
	s.Exponents = []int32{minExponent, maxExponent}
	b, err := s.EncodeMeta()
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeMeta(r, b)
	if err != nil || !reflect.DeepEqual(m, s.Meta) {
		t.Errorf("%+v became %+v, %v", s.Meta, m, err)
	}
}

func TestDecodeMetaRefuses(t *testing.T) {
	r := testRule(3, 10, 20)
	for _, c := range []struct{ text, says string }{
		{``, "unexpected end"},
		{`{"step":1,"exponents":[1,2]} x`, "invalid character"},
		{`{"step":-1,"exponents":[1,2]}`, "cannot unmarshal"},
		{`{"step":1}`, "0 exponents for 2 tensors"},
		{`{"step":1,"exponents":[1,2,3]}`, "3 exponents"},
		{`{"step":1,"updates":2,"exponents":[1,2]}`, "2 updates, step 1"},
		{`{"step":21,"exponents":[1,2]}`, "step 21 of 20"},
		{`{"step":1,"exponents":[1,97]}`, "exponent 97 of tensor b"},
		{`{"step":1,"exponents":[-31,2]}`, "exponent -31 of tensor a"},
	} {
		if _, err := DecodeMeta(r, []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, not %q", c.text, err, c.says)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	r := testRule(3, 10, 20)
	f.Add([]byte(`{"step":3,"updates":2,"clamped":0,"samples":1,"tokens":2,"exponents":[20,-3]}`))
	f.Add([]byte(`{"exponents":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMeta(r, b)
		if err != nil {
			return
		}
		first, err := (&State{Meta: m}).EncodeMeta()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeMeta(r, first)
		if err != nil {
			t.Fatalf("%s is refused: %v", first, err)
		}
		if second, _ := (&State{Meta: again}).EncodeMeta(); !bytes.Equal(first, second) {
			t.Fatalf("%s became %s", first, second)
		}
	})
}

func TestNewState(t *testing.T) {
	r := testRule(4, 10)
	if _, err := NewState(r, make([]float32, 3)); err == nil {
		t.Error("weights of another length are accepted")
	}
	// 4 is the largest that is sure to fit.
	s := newState(t, r, 1)
	if top := math.Ldexp(4, int(s.Exponents[0])); top > float64(r.maxElement()) || 2*top <= float64(r.maxElement()) {
		t.Errorf("exponent %d for a bound of %d", s.Exponents[0], r.maxElement())
	}
}

// TestDigest changes one thing at a time.
func TestDigest(t *testing.T) {
	r := testRule(3, digestLen+100, 20)
	s := newState(t, r, 1)
	digest := func(cores int) string {
		d, err := Digest(s, cores)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := digest(1)
	if len(want) != 32 {
		t.Errorf("%d digits", len(want))
	}
	for cores := 2; cores <= 4; cores++ {
		if got := digest(cores); got != want {
			t.Errorf("%d cores: %s, not %s", cores, got, want)
		}
	}
	seen := map[string]string{want: "nothing"}
	differs := func(what string) {
		t.Helper()
		d := digest(2)
		if other, ok := seen[d]; ok {
			t.Errorf("%s gives the digest of a change of %s", what, other)
		}
		seen[d] = what
	}
	random := rand.New(rand.NewPCG(5, 5))
	for name, buffer := range map[string][]float32{"weight": s.Weights, "moment1": s.Moment1, "moment2": s.Moment2} {
		positions := []int{0, digestLen - 1, digestLen, len(buffer) - 1}
		for range 4 {
			positions = append(positions, 1+random.IntN(digestLen-2))
		}
		for _, i := range positions {
			bit := uint32(1) << random.IntN(32)
			old := buffer[i]
			buffer[i] = math.Float32frombits(math.Float32bits(old) ^ bit)
			differs(fmt.Sprintf("%s %d, bit %x", name, i, bit))
			buffer[i] = old
		}
	}
	meta := reflect.ValueOf(&s.Meta).Elem()
	for i := range meta.NumField() {
		if f := meta.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(f.Uint() + 1)
			differs(meta.Type().Field(i).Name)
			f.SetUint(f.Uint() - 1)
		}
	}
	s.Exponents[1]++
	differs("exponent")
	s.Exponents[1]--
	s.Moment1, s.Moment2 = s.Moment2, s.Moment1
	if got := digest(1); got != want { // both are zero still
		t.Errorf("the state does not return to its digest: %s", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		edit func(*Rule)
		says string
	}{
		{func(r *Rule) { r.Layout.Tensors = nil }, "no tensors"},
		{func(r *Rule) { r.MicroBatches = 0 }, "micro-batches"},
		{func(r *Rule) { r.MicroBatches = MaxMicroBatches + 1 }, "micro-batches"},
		{func(r *Rule) { r.Steps = 0 }, "steps"},
		{func(r *Rule) { r.Reduce = "bf16" }, "reduce"},
		{func(r *Rule) { r.Optimizer.LearningRate = math.NaN() }, "learning rate"},
		{func(r *Rule) { r.Optimizer.Beta2 = 1 }, "betas"},
		{func(r *Rule) { r.Optimizer.Epsilon = 0 }, "epsilon"},
		{func(r *Rule) { r.Optimizer.WeightDecay = -1 }, "weight decay"},
	} {
		r := testRule(3, 10)
		if _, err := NewApplier(r, 1); err != nil {
			t.Fatal(err)
		}
		c.edit(&r)
		if _, err := NewApplier(r, 1); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q is not said: %v", c.says, err)
		}
	}
}

// TestMostMicroBatches completes the largest step that each mode allows: the
// check sum must survive the arithmetic of the mode.
func TestMostMicroBatches(t *testing.T) {
	for mode, most := range map[Reduce]int{Exact: MaxMicroBatches, Exact16: MaxShortMicroBatches, Float: MaxFloatMicroBatches} {
		r := testRule(most, 1)
		r.Reduce = mode
		s := newState(t, r, 1)
		grads := make([][]float32, most)
		for i := range grads {
			grads[i] = make([]float32, r.Layout.Total)
		}
		if _, err := newApplier(t, r, 1).Apply(s, entryOf(t, r, s, grads, Measured{})); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		r.MicroBatches++
		if _, err := NewApplier(r, 1); err == nil {
			t.Errorf("%s: %d micro-batches are accepted", mode, r.MicroBatches)
		}
	}
}
