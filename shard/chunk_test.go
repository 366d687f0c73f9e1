package shard

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// vocabulary of the tests: 0..9 begin a word, 10..19 continue one.
var testPieces = slices.Concat(make([]bool, 10), slices.Repeat([]bool{true}, 10))

func TestChunksTable(t *testing.T) {
	word := func(n int) []int32 { // words of one token
		out := make([]int32, n)
		for i := range out {
			out[i] = int32(i % 10)
		}
		return out
	}
	long := func(n int) []int32 { // one word of n tokens
		out := slices.Repeat([]int32{11}, n)
		out[0] = 1
		return out
	}
	for _, c := range []struct {
		name   string
		tokens []int32
		ends   []int
		budget int
		want   []span
	}{
		{"one sentence", word(4), []int{4}, 10, []span{{0, 4, nil}}},
		{"sentences that fit together", word(9), []int{3, 6, 9}, 10, []span{{0, 9, []int{3, 6}}}},
		{"exactly full", word(20), []int{5, 10, 20}, 10, []span{{0, 10, []int{5}}, {10, 20, nil}}},
		{"next does not fit", word(12), []int{3, 12}, 10, []span{{0, 10, []int{3}}, {10, 12, nil}}},
		{"next does not fit, hardly any room", word(44), []int{31, 44}, 32, []span{{0, 31, nil}, {31, 44, nil}}},
		{"next does not fit, some room", word(43), []int{30, 43}, 32, []span{{0, 32, []int{30}}, {32, 43, nil}}},
		{"a sentence longer than any chunk", word(25), []int{25}, 10, []span{{0, 10, nil}, {10, 20, nil}, {20, 25, nil}}},
		{"cut at a word", slices.Concat(word(8), long(4)), []int{12}, 10, []span{{0, 8, nil}, {8, 12, nil}}},
		{"a word longer than any chunk", long(25), []int{25}, 10, []span{{0, 10, nil}, {10, 20, nil}, {20, 25, nil}}},
		{"a short word before such a word", slices.Concat(word(1), long(14)), []int{15}, 10, []span{{0, 10, nil}, {10, 15, nil}}},
		{"a last token alone joins a chunk with room", word(10), []int{9, 10}, 12, []span{{0, 10, []int{9}}}},
		{"a last token alone takes the last word of a full chunk", word(11), []int{10, 11}, 10, []span{{0, 9, nil}, {9, 11, []int{1}}}},
		{"a sentence start moves with it", word(11), []int{9, 10, 11}, 10, []span{{0, 9, nil}, {9, 11, []int{1}}}},
		{"one token", word(1), []int{1}, 10, []span{{0, 1, nil}}},
		{"none", nil, nil, 10, nil},
	} {
		got := chunks(c.tokens, c.ends, c.budget, testPieces)
		same := slices.EqualFunc(got, c.want, func(a, b span) bool {
			return a.from == b.from && a.to == b.to && slices.Equal(a.bounds, b.bounds)
		})
		if !same {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestChunksProperties checks on random documents what the function promises.
func TestChunksProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		budget := 5 + r.IntN(40)
		pieces := r.Float64() // share of tokens that continue a word
		var tokens []int32
		var ends []int
		for range 1 + r.IntN(8) {
			for i := range 1 + r.IntN(1+r.IntN(2*budget)) {
				token := int32(r.IntN(10))
				if i > 0 && r.Float64() < pieces {
					token += 10
				}
				tokens = append(tokens, token)
			}
			ends = append(ends, len(tokens))
		}
		checkChunks(t, tokens, ends, budget)
		if t.Failed() {
			t.Fatalf("tokens %v ends %v budget %d: %v", tokens, ends, budget, chunks(tokens, ends, budget, testPieces))
		}
	}
}

func checkChunks(t *testing.T, tokens []int32, ends []int, budget int) {
	t.Helper()
	at := 0
	var starts []int // of sentences within chunks
	for i, c := range chunks(tokens, ends, budget, testPieces) {
		n := c.to - c.from
		if c.from != at || n < 1 || n > budget {
			t.Errorf("chunk %d is [%d, %d) after %d", i, c.from, c.to, at)
		}
		if n < 2 && len(tokens) > 1 {
			t.Errorf("chunk %d has one token", i)
		}
		// A cut within a word needs a word that fills the chunk, but for one token
		// that would have stayed alone before it or after it.
		if c.to < len(tokens) && testPieces[tokens[c.to]] {
			begin := c.to
			for begin > 0 && testPieces[tokens[begin]] {
				begin--
			}
			if begin > c.from+1 && c.to < len(tokens)-2 {
				t.Errorf("chunk %d ends within the word at %d, which it might have left to the next", i, begin)
			}
		}
		for _, b := range c.bounds {
			starts = append(starts, c.from+b)
		}
		at = c.to
		starts = append(starts, at)
	}
	if at != len(tokens) {
		t.Errorf("chunks end at %d of %d tokens", at, len(tokens))
	}
	// Every sentence begins at a bound or at a chunk, and nothing else is a bound.
	for _, end := range ends {
		if !slices.Contains(starts, end) {
			t.Errorf("the sentence end %d is no bound", end)
		}
	}
	for _, c := range chunks(tokens, ends, budget, testPieces) {
		for _, b := range c.bounds {
			if b < 1 || b >= c.to-c.from || !slices.Contains(ends, c.from+b) {
				t.Errorf("bound %d of [%d, %d) is no sentence end", b, c.from, c.to)
			}
		}
	}
}
