package wordpiece

import (
	"strings"
	"unicode/utf8"
)

// pieces are those of a vocabulary that begin a word, or those that continue one.
type pieces struct {
	ids     map[string]int32 // by what they match
	longest int              // bytes
}

// newPieces parts a vocabulary; tokens are distinct. It leaves out those that no word is
// long enough for, so that a word is never compared beyond its own length.
func newPieces(vocab []string) (begin, next pieces) {
	begin, next = pieces{ids: map[string]int32{}}, pieces{ids: map[string]int32{}}
	for i, token := range vocab {
		if rest, ok := strings.CutPrefix(token, continuation); ok && rest != "" {
			next.add(rest, int32(i))
		} else {
			begin.add(token, int32(i))
		}
	}
	return begin, next
}

func (p *pieces) add(text string, id int32) {
	if utf8.RuneCountInString(text) > maxWordChars {
		return
	}
	p.ids[text] = id
	p.longest = max(p.longest, len(text))
}

// match returns the id of the longest piece that w begins with, and its length in
// bytes; the length is 0 if there is none.
func (p *pieces) match(w []byte) (id int32, n int) {
	for n := min(len(w), p.longest); n > 0; n-- {
		if n < len(w) && !utf8.RuneStart(w[n]) {
			continue // no piece ends within a character
		}
		if id, ok := p.ids[string(w[:n])]; ok {
			return id, n
		}
	}
	return 0, 0
}
