package wordpiece

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// merger joins pairs of pieces, the most frequent first. After a merge, only the words
// that hold the pair are counted again.
type merger struct {
	vocab []string
	ids   map[string]int32
	words []trainWord
	pairs map[pair]*pairState
	queue pairQueue
}

// trainWord is a word as the pieces that it is made of by now.
type trainWord struct {
	pieces []int32
	count  int64
}

type pair struct{ left, right int32 }

// pairState is how often a pair stands in the text, and where. A word is named
// when the pair comes into it, and not forgotten when it goes.
type pairState struct {
	pair  pair
	count int64
	words []int32
}

func newMerger(counts []wordCount, alphabetSize int) *merger {
	m := &merger{ids: map[string]int32{}, pairs: map[pair]*pairState{}}
	for _, token := range specialTokens() {
		m.add(token)
	}
	alphabet := mostFrequent(counts, alphabetSize)
	for _, c := range alphabet {
		m.add(string(c))
	}
	inside := map[rune]bool{}
	for _, w := range counts {
		for i, c := range w.word {
			if i > 0 {
				inside[c] = true
			}
		}
	}
	for _, c := range alphabet {
		if inside[c] {
			m.add(continuation + string(c))
		}
	}
	for _, w := range counts {
		word := trainWord{count: w.count}
		for i, c := range w.word {
			token := string(c)
			if i > 0 {
				token = continuation + token
			}
			// A character beyond the alphabet is passed over, as Hugging Face
			// does: its neighbours become each other's.
			if id, ok := m.ids[token]; ok {
				word.pieces = append(word.pieces, id)
			}
		}
		if len(word.pieces) < 2 {
			continue
		}
		at := int32(len(m.words))
		m.words = append(m.words, word)
		for i := range len(word.pieces) - 1 {
			m.count(pair{word.pieces[i], word.pieces[i+1]}, word.count, at)
		}
	}
	for _, p := range m.pairs {
		m.queue = append(m.queue, queued{p.count, p})
	}
	heap.Init(&m.queue)
	return m
}

// mostFrequent returns at most n characters of the words, the most frequent, in order.
func mostFrequent(counts []wordCount, n int) []rune {
	seen := map[rune]int64{}
	for _, w := range counts {
		for _, c := range w.word {
			seen[c] += w.count
		}
	}
	alphabet := make([]rune, 0, len(seen))
	for c := range seen {
		alphabet = append(alphabet, c)
	}
	slices.SortFunc(alphabet, func(a, b rune) int {
		return cmp.Or(cmp.Compare(seen[b], seen[a]), cmp.Compare(a, b))
	})
	alphabet = alphabet[:min(n, len(alphabet))]
	slices.Sort(alphabet)
	return alphabet
}

func (m *merger) add(token string) int32 {
	id := int32(len(m.vocab))
	m.vocab = append(m.vocab, token)
	m.ids[token] = id
	return id
}

// count adds n to the count of a pair; a pair that comes into a word is noted there.
func (m *merger) count(p pair, n int64, word int32) *pairState {
	s := m.pairs[p]
	if s == nil {
		s = &pairState{pair: p}
		m.pairs[p] = s
	}
	s.count += n
	if n > 0 && (len(s.words) == 0 || s.words[len(s.words)-1] != word) {
		s.words = append(s.words, word)
	}
	return s
}

// merge joins the most frequent pair everywhere, if it stands at least least
// times in the text. The piece that it makes may be in the vocabulary already.
func (m *merger) merge(least int64) bool {
	top := m.pop()
	if top == nil || top.count < least {
		return false
	}
	token := m.vocab[top.pair.left] + strings.TrimPrefix(m.vocab[top.pair.right], continuation)
	id, ok := m.ids[token]
	if !ok {
		id = m.add(token)
	}
	delete(m.pairs, top.pair)
	grown := map[*pairState]bool{}
	for _, at := range top.words {
		m.mergeWord(top.pair, id, at, grown)
	}
	for s := range grown {
		heap.Push(&m.queue, queued{s.count, s})
	}
	return true
}

// mergeWord joins the pair in one word, from the left.
func (m *merger) mergeWord(p pair, id, at int32, grown map[*pairState]bool) {
	w := &m.words[at]
	pieces := w.pieces
	change := func(left, right int32, n int64) {
		q := pair{left, right}
		if q == p {
			return // it is gone from this word when the word is done
		}
		if s := m.count(q, n, at); n > 0 {
			grown[s] = true
		}
	}
	out := 0
	for i := 0; i < len(pieces); i++ {
		if i+1 == len(pieces) || pieces[i] != p.left || pieces[i+1] != p.right {
			pieces[out] = pieces[i]
			out++
			continue
		}
		if out > 0 {
			change(pieces[out-1], p.left, -w.count)
			change(pieces[out-1], id, w.count)
		}
		if i+2 < len(pieces) {
			change(p.right, pieces[i+2], -w.count)
			change(id, pieces[i+2], w.count)
		}
		pieces[out] = id
		out++
		i++
	}
	w.pieces = pieces[:out]
}

// pop takes the most frequent pair from the queue. Counts in the queue may be old:
// one that was too high goes back with its own, one that was too low is followed
// by a newer entry.
func (m *merger) pop() *pairState {
	for len(m.queue) > 0 {
		top := heap.Pop(&m.queue).(queued)
		switch s := top.state; {
		case m.pairs[s.pair] != s || s.count <= 0:
		case top.count == s.count:
			return s
		case top.count > s.count:
			heap.Push(&m.queue, queued{s.count, s})
		}
	}
	return nil
}

// queued is a pair and the count that it had when it was queued.
type queued struct {
	count int64
	state *pairState
}

// pairQueue has the most frequent pair on top; of pairs as frequent, the one whose
// tokens are the first.
type pairQueue []queued

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(b.count, a.count),
		cmp.Compare(a.state.pair.left, b.state.pair.left),
		cmp.Compare(a.state.pair.right, b.state.pair.right)) < 0
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(queued)) }
func (q *pairQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
