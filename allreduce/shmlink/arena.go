package shmlink

// align is what frames in memory are aligned to: a line of the cache.
const align = 64

// arena decides where frames lie in the memory. Frames are freed in the order in which
// they were placed.
type arena struct {
	size   int
	placed []span // oldest first
}

// span is the memory of one frame; it is never empty.
type span struct{ from, to int }

// place returns the first byte for a frame of n bytes; ok is false while there is no
// room. When all is free it begins at the start again: what is used again and again
// stays in the cache.
func (a *arena) place(n int) (at int, ok bool) {
	n = footprint(n)
	if len(a.placed) > 0 {
		first, last := a.placed[0].from, a.placed[len(a.placed)-1].to
		switch {
		case first < last && a.size-last >= n: // the free part is at the end,
			at = last
		case first < last && first >= n: // at the start,
			at = 0
		case last <= first && first-last >= n: // or between
			at = last
		default:
			return 0, false
		}
	} else if n > a.size {
		return 0, false
	}
	a.placed = append(a.placed, span{at, at + n})
	return at, true
}

// free frees the n oldest frames. It reports whether there were so many.
func (a *arena) free(n int) bool {
	if n < 0 || n > len(a.placed) {
		return false
	}
	a.placed = append(a.placed[:0], a.placed[n:]...)
	return true
}

// footprint is how much memory a frame of n bytes takes.
func footprint(n int) int { return max(align, (n+align-1)/align*align) }
