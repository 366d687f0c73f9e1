package shard

// span is a chunk of a document: its tokens [from, to) and the offsets within
// it at which sentences begin, but the first.
type span struct {
	from, to int
	bounds   []int
}

// chunks packs the sentences of a document to chunks of at most budget tokens.
// ends are the ends of the sentences in tokens, ascending; a token that piece
// marks continues a word.
//
// A chunk is filled with whole sentences. Where the next one does not fit and
// the chunk is less than half full, or the sentence is longer than any chunk, it
// is cut at a word boundary, in a word only if it has none within that room. Every
// token is in one chunk, and every chunk has at least two tokens if the document
// has. The budget is at least 5.
func chunks(tokens []int32, ends []int, budget int, piece []bool) []span {
	var out []span
	cur := span{}
	closeAt := func(at int) {
		cur.to = at
		out = append(out, cur)
		cur = span{from: at}
	}
	start := 0
	for _, end := range ends {
		for start < end {
			room := budget - (start - cur.from)
			if end-start <= room {
				if start > cur.from {
					cur.bounds = append(cur.bounds, start-cur.from)
				}
				start = end
				continue
			}
			if start > cur.from && room < budget/2 {
				closeAt(start)
				continue
			}
			cut := wordBoundary(tokens, start, start+room, piece)
			if cut == start {
				cut = start + room
			}
			if start > cur.from {
				cur.bounds = append(cur.bounds, start-cur.from)
			}
			closeAt(cut)
			start = cut
		}
	}
	if start > cur.from {
		closeAt(start)
	}
	return mendShort(out, tokens, piece)
}

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

// mendShort gives a chunk of a single token the last words of the one before.
func mendShort(out []span, tokens []int32, piece []bool) []span {
	for i := 1; i < len(out); i++ {
		before := &out[i-1]
		if out[i].to-out[i].from > 1 || before.to-before.from < 4 {
			continue
		}
		at := wordBoundary(tokens, before.from+1, before.to-1, piece)
		if at < before.from+2 {
			at = before.to - 1
		}
		moved := before.to - at
		for j := range out[i].bounds {
			out[i].bounds[j] += moved
		}
		out[i].bounds = append([]int{moved}, out[i].bounds...)
		out[i].from = at
		before.to = at
		for n := len(before.bounds); n > 0 && before.bounds[n-1] >= before.to-before.from; n-- {
			before.bounds = before.bounds[:n-1]
		}
	}
	return out
}
