package wordpiece

import (
	"slices"
	"unicode/utf8"
)

// appendWords appends the words of s, each followed by one space; words hold no
// spaces. It takes s for the whole of a text: of a part, it gives the same words
// only if ASCII white space or punctuation, or nothing, stands on both sides.
func (n *normalizer) appendWords(dst []byte, s string) []byte {
	w := wordWriter{n: n, words: dst}
	w.write(s)
	return w.words
}

// wordWriter writes the words of a text.
type wordWriter struct {
	n     *normalizer
	words []byte
	open  bool // within a word
	// marks are those that followed the last character of combining class 0.
	// They are put in order when the next such character comes.
	marks []decomposed
}

// decomposed is a character of a canonical decomposition.
type decomposed struct {
	char      rune
	combining uint8 // its canonical combining class
}

func (w *wordWriter) write(s string) {
	for _, c := range s {
		k := w.n.class(c)
		switch kind := k.kind(); {
		case kind == several || kind == drop && len(w.marks) > 0:
			w.writeWhole(c)
		case kind == letter:
			w.flush()
			w.words = utf8.AppendRune(w.words, k.char())
			w.open = true
		case kind == single:
			w.end()
			w.words = append(utf8.AppendRune(w.words, k.char()), ' ')
		case kind == space:
			w.end()
		}
	}
	w.end()
}

// writeWhole writes a character that is not white space step by step, where its
// class does not say all: where marks wait, even one that goes may keep others
// from moving.
func (w *wordWriter) writeWhole(c rune) {
	if w.n.dropped.has(c) {
		return
	}
	if !w.n.how.stripAccents {
		w.lower(c)
		return
	}
	ideograph := w.n.how.spaceCJK && isIdeograph(c)
	if ideograph {
		w.end()
	}
	var buffer [4]decomposed
	for _, d := range w.n.decompose(buffer[:0], c) {
		if d.combining != 0 {
			w.marks = append(w.marks, d)
			continue
		}
		w.flush()
		if !w.n.nonspacing.has(d.char) {
			w.lower(d.char)
		}
	}
	if ideograph {
		w.end()
	}
}

// flush writes the marks that wait.
func (w *wordWriter) flush() {
	if len(w.marks) > 0 {
		w.writeMarks()
	}
}

// writeMarks writes the marks in order, but for those that go.
func (w *wordWriter) writeMarks() {
	slices.SortStableFunc(w.marks, func(a, b decomposed) int { return int(a.combining) - int(b.combining) })
	for _, d := range w.marks {
		if !w.n.nonspacing.has(d.char) {
			w.lower(d.char)
		}
	}
	w.marks = w.marks[:0]
}

// end ends the word, if there is one.
func (w *wordWriter) end() {
	w.flush()
	w.close()
}

func (w *wordWriter) close() {
	if w.open {
		w.words = append(w.words, ' ')
		w.open = false
	}
}

func (w *wordWriter) lower(c rune) {
	switch {
	case !w.n.how.lowercase:
		w.put(c)
	case c == dottedI:
		w.put('i')
		w.put('\u0307')
	default:
		w.put(w.n.toLower(c))
	}
}

func (w *wordWriter) put(c rune) {
	if w.n.punctuation.has(c) {
		w.close()
		w.words = append(utf8.AppendRune(w.words, c), ' ')
		return
	}
	w.words = utf8.AppendRune(w.words, c)
	w.open = true
}
