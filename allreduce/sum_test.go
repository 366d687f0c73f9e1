package allreduce

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAdd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		a, b := make([]int32, n), make([]int32, n)
		for i := range a {
			a[i], b[i] = int32(random.Uint32()>>2), int32(random.Uint32()>>2)
		}
		dst := make([]int32, n)
		Int32.add(dst, a, b)
		for i := range dst {
			if dst[i] != a[i]+b[i] {
				t.Fatalf("int32, %d of %d: %d + %d = %d", i, n, a[i], b[i], dst[i])
			}
		}
		Float32.add(dst, a, b)
		for i := range dst {
			x, y := math.Float32frombits(uint32(a[i])), math.Float32frombits(uint32(b[i]))
			if dst[i] != int32(math.Float32bits(x+y)) {
				t.Fatalf("float32, %d of %d: %g + %g", i, n, x, y)
			}
		}
	}
}

func TestWordsOfUnalignedBytes(t *testing.T) {
	want := []int32{1, -2, math.MinInt32, 0x01020304}
	buffer := make([]byte, 4*len(want)+3)
	for shift := range 4 {
		b := buffer[shift : shift+4*len(want)]
		copy(b, wordBytes(want))
		got := words(b)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("shifted by %d: word %d is %d, not %d", shift, i, got[i], want[i])
			}
		}
	}
}

func TestOverlap(t *testing.T) {
	v := make([]int32, 10)
	for _, c := range []struct {
		a, b []int32
		want bool
	}{
		{v[:5], v[5:], false}, {v[5:], v[:5], false}, {v[:6], v[5:], true}, {v, v, true},
		{v[2:4], v, true}, {nil, v, false}, {v[:0], v, false}, {v, make([]int32, 10), false},
	} {
		if got := overlap(c.a, c.b); got != c.want {
			t.Errorf("overlap of %d and %d words: %v", len(c.a), len(c.b), got)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, sum := range []Sum{Int32, Float32} {
		b.Run(sum.String(), func(b *testing.B) {
			x, y, dst := make([]int32, DefaultChunkWords), make([]int32, DefaultChunkWords), make([]int32, DefaultChunkWords)
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				sum.add(dst, x, y)
			}
		})
	}
}
