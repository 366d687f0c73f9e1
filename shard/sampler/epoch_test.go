package sampler

import (
	"math"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/internal/rng"
)

// shapes are the corpora and batches that the properties are checked on.
var shapes = []struct {
	name               string
	sizes              []int
	rows, micro, width int // width: shards of a window
}{
	{"one shard", []int{61}, 4, 3, 8},
	{"one chunk", []int{1}, 2, 2, 8},
	{"two chunks", []int{2}, 3, 1, 8},
	{"windows of one shard", []int{20, 1, 37, 5}, 5, 2, 1},
	{"windows that do not fill", []int{12, 30, 7, 19, 44}, 8, 4, 2},
	{"a batch longer than an epoch", []int{3, 4}, 16, 2, 1},
	{"many", []int{40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50}, 7, 5, 3},
}

// epochRows draws the samples of one epoch.
func epochRows(t *testing.T, s *Sampler, epoch int) []row {
	t.Helper()
	chunks, size := int(s.order.chunks), s.cfg.Rows*s.cfg.MicroBatches
	var out []row
	for n := epoch * chunks; n < (epoch+1)*chunks; {
		step, rest := uint64(n/size), n%size
		drawn := rows(t, batch(t, s, step, rest/s.cfg.Rows))[rest%s.cfg.Rows:]
		drawn = drawn[:min(len(drawn), (epoch+1)*chunks-n)]
		out = append(out, drawn...)
		n += len(drawn)
	}
	return out
}

// TestEpoch: every chunk is once the first segment, every second half is used
// once, a random one is of another document, and cuts are where they may be.
func TestEpoch(t *testing.T) {
	for _, shape := range shapes {
		c := newCorpus(t, 3, 40, shape.sizes...)
		// Rows of twice the length, so that nothing has to be cut off.
		s := c.sampler(t, Config{Seed: 9, Rows: shape.rows, Seq: 80, MicroBatches: shape.micro, Window: shape.width})
		var orders [][]int
		for epoch := range 3 {
			used := make([]int, len(c.chunks)) // tokens used, by chunk
			seconds := make([]int, len(c.chunks))
			var order []int
			random := 0
			for _, r := range epochRows(t, s, epoch) {
				a, b := c.from[r.a[0]], c.from[r.b[0]]
				ca, cb := c.chunks[a.chunk], c.chunks[b.chunk]
				if a.at != 0 || len(r.a) >= len(ca.tokens) || b.at+len(r.b) != len(cb.tokens) || !ascending(r.a) || !ascending(r.b) {
					t.Fatalf("%s: %v and %v are no halves of chunks", shape.name, r.a, r.b)
				}
				order = append(order, a.chunk)
				used[a.chunk] += len(r.a)
				used[b.chunk] += len(r.b)
				seconds[b.chunk]++
				if (r.next == 1) != (a.chunk != b.chunk) || r.next == 1 && ca.document == cb.document {
					t.Fatalf("%s: label %d for chunks %d and %d of documents %d and %d", shape.name, r.next, a.chunk, b.chunk, ca.document, cb.document)
				}
				random += int(r.next)
				checkCut(t, ca, len(r.a))
			}
			for i, k := range c.chunks {
				if used[i] != len(k.tokens) || seconds[i] != 1 {
					t.Fatalf("%s, epoch %d: chunk %d of %d tokens has %d used, %d second halves", shape.name, epoch, i, len(k.tokens), used[i], seconds[i])
				}
			}
			// Few find no partner of another document.
			if n := len(c.chunks); random > n/2+shape.width*len(shape.sizes) || n > 50 && random < n*4/10 {
				t.Errorf("%s: %d of %d second segments are random", shape.name, random, n)
			}
			if sorted := slices.Sorted(slices.Values(order)); len(slices.Compact(sorted)) != len(c.chunks) {
				t.Errorf("%s: %d different first segments of %d", shape.name, len(slices.Compact(sorted)), len(c.chunks))
			}
			orders = append(orders, order)
		}
		if len(c.chunks) > 10 && (slices.Equal(orders[0], orders[1]) || slices.Equal(orders[1], orders[2]) || slices.IsSorted(orders[0])) {
			t.Errorf("%s: epochs are not shuffled", shape.name)
		}
	}
}

func ascending(tokens []int64) bool {
	for i := 1; i < len(tokens); i++ {
		if tokens[i] != tokens[i-1]+1 {
			return false
		}
	}
	return true
}

// checkCut: at a sentence, or in a single sentence at the word nearest to the
// middle.
func checkCut(t *testing.T, c testChunk, cut int) {
	t.Helper()
	if len(c.bounds) > 0 {
		if !slices.Contains(c.bounds, cut) {
			t.Errorf("cut at %d, sentences begin at %v", cut, c.bounds)
		}
		return
	}
	n := len(c.tokens)
	best := math.MaxInt
	for at := 1; at < n; at++ {
		if !isPiece(int64(c.tokens[at])) {
			best = min(best, max(at-n/2, n/2-at))
		}
	}
	if d := max(cut-n/2, n/2-cut); best < n/2 && d != best {
		t.Errorf("cut at %d of %d, %d from the middle; a word begins %d from it", cut, n, d, best)
	}
}

// TestOrderOracle compares which chunk comes when with a list made the long way.
func TestOrderOracle(t *testing.T) {
	for _, shape := range shapes {
		c := newCorpus(t, 4, 30, shape.sizes...)
		const seed = 77
		s := c.sampler(t, Config{Seed: seed, Rows: shape.rows, Seq: 60, MicroBatches: shape.micro, Window: shape.width})
		for epoch := range 2 {
			var want []int
			shards := rng.New(rng.DomainShardOrder, seed, uint64(epoch)).Perm(len(shape.sizes))
			windows := (len(shards) + shape.width - 1) / shape.width
			for w := range windows {
				var members []int
				for _, number := range shards[w*len(shards)/windows : (w+1)*len(shards)/windows] {
					for i, k := range c.chunks {
						if k.shard == int(number) {
							members = append(members, i)
						}
					}
				}
				for _, i := range rng.New(rng.DomainWindowOrder, seed, uint64(epoch), uint64(w)).Perm(len(members)) {
					want = append(want, members[i])
				}
			}
			var got []int
			for _, r := range epochRows(t, s, epoch) {
				got = append(got, c.from[r.a[0]].chunk)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, epoch %d: order %v, want %v", shape.name, epoch, got, want)
			}
		}
	}
}

// TestTruncation: with rows of the corpus's own length nothing is lost but what
// Truncated counts, and that is little.
func TestTruncation(t *testing.T) {
	c := newCorpus(t, 5, 64, 300, 300, 300)
	s := c.sampler(t, Config{Seed: 1, Rows: 30, Seq: 64, MicroBatches: 3})
	tokens, lost := 0, 0
	for step := range uint64(10) {
		for index := range 3 {
			b := batch(t, s, step, index)
			kept := 0
			for _, r := range rows(t, b) {
				if len(r.a)+len(r.b) > 61 || !ascending(r.a) || !ascending(r.b) {
					t.Fatalf("segments %v and %v", r.a, r.b)
				}
				kept += len(r.a) + len(r.b)
			}
			if b.Tokens != kept+3*b.Rows {
				t.Errorf("%d tokens, want %d", b.Tokens, kept+3*b.Rows)
			}
			tokens += kept
			lost += b.Truncated
		}
	}
	if want := int(c.manifest.Splits.Train.Tokens); tokens+lost != want {
		t.Errorf("%d used and %d cut off, of %d", tokens, lost, want)
	}
	if lost*20 > tokens {
		t.Errorf("%d of %d tokens were cut off", lost, tokens)
	}
}

func TestTruncate(t *testing.T) {
	r := rng.New(1)
	for range 2000 {
		na, nb, budget := 1+r.IntN(40), 1+r.IntN(40), 2+r.IntN(50)
		a, b := make([]int32, na), make([]int32, nb)
		for i := range a {
			a[i] = int32(i)
		}
		for i := range b {
			b[i] = int32(i)
		}
		// The oracle: what the longer loses, b where they are equal.
		wantA, wantB := na, nb
		for wantA+wantB > budget {
			if wantA > wantB {
				wantA--
			} else {
				wantB--
			}
		}
		a, b = truncate(a, b, budget, r)
		if len(a) != wantA || len(b) != wantB {
			t.Fatalf("%d and %d to %d: %d and %d, want %d and %d", na, nb, budget, len(a), len(b), wantA, wantB)
		}
		for _, s := range [][]int32{a, b} {
			for i := 1; i < len(s); i++ {
				if s[i] != s[i-1]+1 {
					t.Fatalf("%v has a hole", s)
				}
			}
		}
	}
}
