package wordpiece

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The Hangul syllables decompose by arithmetic (Unicode, section 3.12).
const (
	hangulBase, hangulCount             = 0xAC00, 11172
	leadBase, vowelBase, trailBase      = 0x1100, 0x1161, 0x11A7
	trailCount, vowelTrailCount    rune = 28, 21 * 28
)

// decompose appends the full canonical decomposition of c, as the edition of
// Unicode in Hugging Face's library has it.
func (n *normalizer) decompose(dst []decomposed, c rune) []decomposed {
	if !n.canonical.has(c) {
		return append(dst, decomposed{char: c})
	}
	if s := c - hangulBase; s >= 0 && s < hangulCount {
		dst = append(dst, decomposed{char: leadBase + s/vowelTrailCount},
			decomposed{char: vowelBase + s%vowelTrailCount/trailCount})
		if t := s % trailCount; t != 0 {
			dst = append(dst, decomposed{char: trailBase + t})
		}
		return dst
	}
	var utf [utf8.UTFMax]byte
	p := norm.NFD.Properties(utf8.AppendRune(utf[:0], c))
	d := p.Decomposition()
	if d == nil {
		return append(dst, decomposed{char: c, combining: p.CCC()})
	}
	for len(d) > 0 {
		r, size := utf8.DecodeRune(d)
		dst = append(dst, decomposed{char: r, combining: norm.NFD.Properties(d).CCC()})
		d = d[size:]
	}
	return dst
}
