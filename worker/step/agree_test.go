package step

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

func planOf(shares ...int) wire.Plan {
	p := wire.Plan{Generation: 1}
	for i, s := range shares {
		p.Members = append(p.Members, wire.Member{ID: string(rune('a' + i)), Incarnation: "1", Share: s})
		p.MicroBatches += s
	}
	return p
}

func TestAssignDealsSharesAsRuns(t *testing.T) {
	got := assign(planOf(3, 1, 2), make([][]int, 3))
	want := [][]int{{0, 1, 2}, {3}, {4, 5}}
	for r := range want {
		if !slices.Equal(got[r], want[r]) {
			t.Errorf("rank %d: %v, want %v", r, got[r], want[r])
		}
	}
}

func TestAssignCoversExactlyWhatIsMissing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		shares := make([]int, 1+rng.IntN(6))
		for i := range shares {
			shares[i] = rng.IntN(5)
		}
		shares[0]++
		p := planOf(shares...)
		held := make([][]int, len(shares))
		count := make([]int, p.MicroBatches)
		for i := range p.MicroBatches {
			if rng.IntN(2) == 0 {
				r := rng.IntN(len(shares))
				held[r] = append(held[r], i)
				count[i]++
			}
		}
		for _, list := range assign(p, held) {
			for _, i := range list {
				count[i]++
			}
		}
		for i, n := range count {
			if n != 1 {
				t.Fatalf("shares %v, held %v: micro-batch %d is computed %d times", shares, held, i, n)
			}
		}
	}
}

func TestAgreeTakesTheNewestStateOfMost(t *testing.T) {
	for name, c := range map[string]struct {
		hellos  []wire.Hello
		newest  uint64
		digest  string
		donors  []string
		held    [][]int
		stopped bool
	}{
		"equal": {
			hellos: []wire.Hello{{ID: "a", Applied: 4, Digest: "x", Next: 5, Done: []int{0}}, {ID: "b", Applied: 4, Digest: "x", Next: 5, Done: []int{2}}},
			newest: 4, digest: "x", donors: []string{"a", "b"}, held: [][]int{{0}, {2}},
		},
		"one behind": {
			hellos: []wire.Hello{{ID: "a", Applied: 3, Digest: "w", Next: 4, Done: []int{0, 1}}, {ID: "b", Applied: 4, Digest: "x", Next: 5}},
			newest: 4, digest: "x", donors: []string{"b"}, held: [][]int{nil, nil},
		},
		"an overlap is dropped as a whole": {
			hellos: []wire.Hello{{ID: "a", Applied: 4, Digest: "x", Next: 5, Done: []int{0, 1}}, {ID: "b", Applied: 4, Digest: "x", Next: 5, Done: []int{1, 2}}},
			newest: 4, digest: "x", donors: []string{"a", "b"}, held: [][]int{{0, 1}, nil},
		},
		"most decide": {
			hellos: []wire.Hello{{ID: "a", Applied: 4, Digest: "bad", Next: 5, Done: []int{0}}, {ID: "b", Applied: 4, Digest: "x", Next: 5}, {ID: "c", Applied: 4, Digest: "x", Next: 5, Done: []int{0}}},
			newest: 4, digest: "x", donors: []string{"b", "c"}, held: [][]int{nil, nil, {0}},
		},
		"ended": {
			hellos: []wire.Hello{{ID: "a", Applied: 9, Digest: "x", Stopped: true}, {ID: "b", Applied: 8, Digest: "w"}},
			newest: 9, digest: "x", donors: []string{"a"}, held: [][]int{nil, nil}, stopped: true,
		},
	} {
		a := agree(c.hellos)
		if a.newest != c.newest || a.digest != c.digest || a.stopped != c.stopped || !slices.Equal(a.donors, c.donors) {
			t.Errorf("%s: %+v", name, a)
		}
		for r := range c.held {
			if !slices.Equal(a.held[r], c.held[r]) {
				t.Errorf("%s: rank %d holds %v, want %v", name, r, a.held[r], c.held[r])
			}
		}
	}
}
