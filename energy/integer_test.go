package energy

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// hard returns numbers that tend to be at the edges of what 64 bits hold.
func hard(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64N(10)
	case 1:
		return math.MaxUint64 - r.Uint64N(10)
	case 2:
		return math.MaxInt64 - 5 + r.Uint64N(10)
	}
	return r.Uint64() >> r.IntN(64)
}

func bigOf(n uint64) *big.Int { return new(big.Int).SetUint64(n) }

// rawDelta is RawDelta without a bound: around once more for each wrap.
func rawDelta(start, end, wrapRange, wraps uint64) (*big.Int, bool) {
	if wraps > 0 && (wrapRange == 0 || start > wrapRange || end > wrapRange) {
		return nil, false
	}
	d := new(big.Int).Mul(bigOf(wraps), bigOf(wrapRange))
	d.Add(d, bigOf(end)).Sub(d, bigOf(start))
	return d, d.Sign() >= 0 && d.IsUint64()
}

func checkRawDelta(t *testing.T, start, end, wrapRange, wraps uint64) {
	t.Helper()
	want, wantOK := rawDelta(start, end, wrapRange, wraps)
	got, ok := RawDelta(start, end, wrapRange, wraps)
	if ok != wantOK || ok && bigOf(got).Cmp(want) != 0 {
		t.Errorf("RawDelta(%d, %d, %d, %d) = %d, %v; want %v, %v", start, end, wrapRange, wraps, got, ok, want, wantOK)
	}
}

func checkScale(t *testing.T, raw, num, den, carry uint64) {
	t.Helper()
	got, rest, ok := Scale(raw, num, den, carry)
	if den == 0 || carry >= den {
		if ok {
			t.Errorf("Scale(%d, %d, %d, %d) = %d", raw, num, den, carry, got)
		}
		return
	}
	all := new(big.Int).Mul(bigOf(raw), bigOf(num))
	want, wantRest := all.Add(all, bigOf(carry)).QuoRem(all, bigOf(den), new(big.Int))
	if ok != want.IsInt64() || ok && (big.NewInt(got).Cmp(want) != 0 || bigOf(rest).Cmp(wantRest) != 0) {
		t.Errorf("Scale(%d, %d, %d, %d) = %d, %d, %v; want %v, %v", raw, num, den, carry, got, rest, ok, want, wantRest)
	}
}

// checkSplit checks that parts add up and that each is its share, rounded one
// way or the other.
func checkSplit(t *testing.T, total int64, weights []uint64) {
	t.Helper()
	dst := Split([]int64{-7}, total, weights)
	if dst[0] != -7 || len(dst) != 1+len(weights) {
		t.Fatalf("Split(%d, %v) gives %d parts behind %d", total, weights, len(dst)-1, dst[0])
	}
	all, sum := new(big.Int), new(big.Int)
	for i, part := range dst[1:] {
		all.Add(all, bigOf(weights[i]))
		sum.Add(sum, big.NewInt(part))
	}
	if sum.Cmp(big.NewInt(total)) != 0 {
		t.Errorf("Split(%d, %v) = %v adds up to %v", total, weights, dst[1:], sum)
	}
	for i, part := range dst[1:] {
		if all.Sign() == 0 {
			if i < len(weights)-1 && part != 0 {
				t.Errorf("Split(%d, %v) = %v: without weights the last part is all", total, weights, dst[1:])
			}
			continue
		}
		// |part·all − total·weight| < all
		off := new(big.Int).Mul(big.NewInt(part), all)
		off.Sub(off, new(big.Int).Mul(big.NewInt(total), bigOf(weights[i])))
		if part < 0 || off.CmpAbs(all) >= 0 {
			t.Errorf("Split(%d, %v) = %v: part %d is not its share", total, weights, dst[1:], i)
		}
	}
}

func TestIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		checkRawDelta(t, hard(r), hard(r), hard(r), hard(r)>>r.IntN(64))
		checkScale(t, hard(r), hard(r), hard(r), hard(r))
		weights := make([]uint64, 1+r.IntN(6))
		for i := range weights {
			weights[i] = hard(r) / uint64(len(weights))
		}
		if r.IntN(4) == 0 {
			clear(weights)
		}
		checkSplit(t, int64(hard(r)>>1), weights)
		a, b := int64(hard(r)>>1), int64(hard(r)>>1)
		want := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		if got, ok := Add(a, b); ok != want.IsInt64() || ok && got != want.Int64() {
			t.Errorf("Add(%d, %d) = %d, %v; want %v", a, b, got, ok, want)
		}
	}
}

// TestScaleLosesNothing converts a counter piece by piece. With the remainders
// carried on, the pieces give what the whole gives.
func TestScaleLosesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		num, den := 1+r.Uint64N(1000), 1+r.Uint64N(1_000_000)
		var raw, carry uint64
		var sum int64
		for range 100 {
			piece := r.Uint64N(1 << 40)
			uj, rest, ok := Scale(piece, num, den, carry)
			if !ok {
				t.Fatalf("Scale(%d, %d, %d, %d) overflows", piece, num, den, carry)
			}
			raw, carry, sum = raw+piece, rest, sum+uj
		}
		whole, rest, ok := Scale(raw, num, den, 0)
		if !ok || whole != sum || rest != carry {
			t.Errorf("%d/%d: pieces give %d and %d, the whole %d and %d", num, den, sum, carry, whole, rest)
		}
	}
}

func TestRawDeltaOfARAPLCounter(t *testing.T) {
	const wrapRange = 262_143_328_850 // µJ, a common package counter
	for _, c := range []struct {
		start, end, wrapRange, wraps, want uint64
		ok                                 bool
	}{
		{100, 350, wrapRange, 0, 250, true},
		{wrapRange - 100, 250, wrapRange, 1, 350, true},
		{wrapRange - 100, 250, wrapRange, 2, 350 + wrapRange, true},
		{wrapRange, 0, wrapRange, 1, 0, true},
		{350, 100, wrapRange, 0, 0, false}, // fell without a wrap
		{350, 100, 0, 1, 0, false},         // wrapped without a range
		{wrapRange + 1, 0, wrapRange, 1, 0, false},
		{0, 0, math.MaxUint64, 2, 0, false}, // more than 64 bits
	} {
		got, ok := RawDelta(c.start, c.end, c.wrapRange, c.wraps)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("RawDelta(%d, %d, %d, %d) = %d, %v; want %d, %v", c.start, c.end, c.wrapRange, c.wraps, got, ok, c.want, c.ok)
		}
	}
}

func FuzzIntegers(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), uint64(1))
	f.Add(uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64))
	f.Add(uint64(math.MaxInt64), uint64(1), uint64(1), uint64(0))
	f.Fuzz(func(t *testing.T, a, b, c, d uint64) {
		checkRawDelta(t, a, b, c, d)
		checkScale(t, a, b, c, d)
		checkSplit(t, int64(a>>1), []uint64{b / 3, c / 3, d / 3})
	})
}
