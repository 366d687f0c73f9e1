package wordpiece

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// appendWhole does what appendWords does, by the letter.
func (n *normalizer) appendWhole(dst []byte, s string) []byte {
	w := wordWriter{n: n, words: dst}
	w.write(s)
	return w.words
}

// wordWriter is the normalizer step by step, for what appendWords has no short
// way for.
type wordWriter struct {
	n     *normalizer
	words []byte
	// sources, if trace is set, says for each byte of words where in the text it
	// comes from.
	sources []source
	trace   bool

	open bool // within a word
	// run is a character of combining class 0 and the marks that follow it,
	// which are put in order when the next such character comes.
	run, sorted []decomposed
}

// source is a place in a text: the bytes of one character.
type source struct{ from, to int }

// decomposed is a character of a canonical decomposition.
type decomposed struct {
	char      rune
	combining uint8 // its canonical combining class
	source    source
}

func (w *wordWriter) write(s string) {
	var buffer [4]decomposed
	for i, size := 0, 0; i < len(s); i += size {
		var c rune
		c, size = utf8.DecodeRuneInString(s[i:])
		from := source{i, i + size}
		if c != '\t' && c != '\n' && c != '\r' && unicode.Is(w.n.dropped, c) {
			continue
		}
		if unicode.IsSpace(c) {
			w.end()
			continue
		}
		ideograph := w.n.how.spaceCJK && isIdeograph(c)
		if ideograph {
			w.end()
		}
		if w.n.how.stripAccents {
			for _, d := range w.n.decompose(buffer[:0], c) {
				if d.combining == 0 {
					w.flush()
				}
				d.source = from
				w.run = append(w.run, d)
			}
		} else {
			w.lower(c, from)
		}
		if ideograph {
			w.end()
		}
	}
	w.end()
}

// flush writes the run, but for the marks that go. Marks change places and their
// sources do not, as in Hugging Face's offsets.
func (w *wordWriter) flush() {
	w.sorted = append(w.sorted[:0], w.run...)
	slices.SortStableFunc(w.sorted, func(a, b decomposed) int { return int(a.combining) - int(b.combining) })
	for i, d := range w.sorted {
		if !unicode.Is(w.n.nonspacing, d.char) {
			w.lower(d.char, w.run[i].source)
		}
	}
	w.run = w.run[:0]
}

// end ends the word, if there is one.
func (w *wordWriter) end() {
	w.flush()
	w.close()
}

func (w *wordWriter) close() {
	if w.open {
		w.append(' ', source{})
		w.open = false
	}
}

func (w *wordWriter) lower(c rune, from source) {
	switch {
	case !w.n.how.lowercase:
		w.put(c, from)
	case c == dottedI:
		w.put('i', from)
		w.put('\u0307', from)
	default:
		w.put(w.n.toLower(c), from)
	}
}

func (w *wordWriter) put(c rune, from source) {
	if unicode.Is(w.n.punctuation, c) {
		w.close()
		w.append(c, from)
		w.append(' ', source{})
		return
	}
	w.append(c, from)
	w.open = true
}

func (w *wordWriter) append(c rune, from source) {
	before := len(w.words)
	w.words = utf8.AppendRune(w.words, c)
	if w.trace {
		for range len(w.words) - before {
			w.sources = append(w.sources, from)
		}
	}
}

// The Hangul syllables decompose by arithmetic (Unicode, section 3.12).
const (
	hangulBase, hangulCount             = 0xAC00, 11172
	leadBase, vowelBase, trailBase      = 0x1100, 0x1161, 0x11A7
	trailCount, vowelTrailCount    rune = 28, 21 * 28
)

// decompose appends the full canonical decomposition of c, as the edition of
// Unicode in Hugging Face's library has it.
func (n *normalizer) decompose(dst []decomposed, c rune) []decomposed {
	if !unicode.Is(n.canonical, c) {
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
