package shard

// span is a chunk of a document: its tokens [from, to) and the offsets within
// it at which sentences begin, but the first.
type span struct {
	from, to int
	bounds   []int
}

// chunks packs the sentences of a document to chunks of at most budget tokens.
// ends are the ends of the sentences in tokens, ascending, the last being
// len(tokens); a token that piece marks continues a word.
//
// A chunk is filled, since what a model computes for padding is lost: the sentence that
// does not fit is cut at a word boundary, in a word only if it has none within that room
// that leaves two tokens. Where hardly any room is left, the sentence goes to the next
// chunk whole. Every token is in one chunk, and every chunk has at least two
// tokens if the document has. The budget is at least 5.
func chunks(tokens []int32, ends []int, budget int, piece []bool) []span {
	var out []span
	from, start := 0, 0 // of the chunk, and of the tokens not yet in it
	closeAt := func(at int) {
		out = append(out, span{from: from, to: at})
		from = at
	}
	for _, end := range ends {
		for start < end {
			room := budget - (start - from)
			if end-start <= room {
				start = end
				continue
			}
			if start > from && room < budget/leastPart {
				closeAt(start)
				continue
			}
			cut := wordBoundary(tokens, max(start, from+1), start+room, piece)
			if cut < from+2 {
				cut = start + room
			}
			closeAt(cut)
			start = cut
		}
	}
	if start > from {
		closeAt(start)
	}
	return addBounds(mergeShortLast(out, tokens, budget, piece), ends)
}

// leastPart is the part of a chunk that is left empty rather than filled with the
// beginning of a sentence: a sixteenth, which is 3% of padding in the mean.
const leastPart = 16

// wordBoundary is the last word boundary in (from, limit], or from if there is
// none.
func wordBoundary(tokens []int32, from, limit int, piece []bool) int {
	for at := limit; at > from; at-- {
		if at == len(tokens) || !piece[tokens[at]] {
			return at
		}
	}
	return from
}

// mergeShortLast joins a last chunk of a single token to the one before or, if that is
// full, gives it the last word of it. No other chunk can be so short.
func mergeShortLast(out []span, tokens []int32, budget int, piece []bool) []span {
	n := len(out)
	if n < 2 || out[n-1].to-out[n-1].from > 1 {
		return out
	}
	before, last := &out[n-2], &out[n-1]
	if before.to-before.from < budget {
		before.to = last.to
		return out[:n-1]
	}
	at := wordBoundary(tokens, before.from+1, before.to-1, piece)
	if at == before.from+1 {
		at = before.to - 1
	}
	last.from, before.to = at, at
	return out
}

// addBounds fills in where sentences begin.
func addBounds(out []span, ends []int) []span {
	next := 0
	for i := range out {
		s := &out[i]
		for ; next < len(ends) && ends[next] < s.to; next++ {
			if ends[next] > s.from {
				s.bounds = append(s.bounds, ends[next]-s.from)
			}
		}
	}
	return out
}
