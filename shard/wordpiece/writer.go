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
	marks  []decomposed
	sorted []decomposed // room for them

	// sources, if trace is set, says for each byte of words where in the text it
	// comes from.
	trace   bool
	sources []source
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
	for i, c := range s {
		// Bytes that are not UTF-8 have another length than U+FFFD, but go anyway.
		from := source{i, i + utf8.RuneLen(c)}
		k := w.n.class(c)
		switch kind := k.kind(); {
		case kind == several || kind == drop && len(w.marks) > 0,
			w.trace && kind != space && w.n.canonical.has(c):
			w.writeWhole(c, from)
		case kind == letter:
			w.flush()
			w.append(k.char(), from)
			w.open = true
		case kind == single:
			w.end()
			w.append(k.char(), from)
			w.append(' ', source{})
		case kind == space:
			w.end()
		}
	}
	w.end()
}

// writeWhole writes a character that is not white space step by step, where its
// class does not say all: where marks wait, even one that goes may keep others
// from moving.
func (w *wordWriter) writeWhole(c rune, from source) {
	if w.n.dropped.has(c) {
		return
	}
	if !w.n.how.stripAccents {
		w.lower(c, from)
		return
	}
	ideograph := w.n.how.spaceCJK && isIdeograph(c)
	if ideograph {
		w.end()
	}
	var buffer [4]decomposed
	for _, d := range w.n.decompose(buffer[:0], c) {
		d.source = from
		if d.combining != 0 {
			w.marks = append(w.marks, d)
			continue
		}
		w.flush()
		if !w.n.nonspacing.has(d.char) {
			w.lower(d.char, from)
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

// writeMarks writes the marks in order, but for those that go. Marks change places
// and their sources do not, as in Hugging Face's offsets.
func (w *wordWriter) writeMarks() {
	w.sorted = append(w.sorted[:0], w.marks...)
	sorted := w.sorted
	slices.SortStableFunc(sorted, func(a, b decomposed) int { return int(a.combining) - int(b.combining) })
	for i, d := range sorted {
		if !w.n.nonspacing.has(d.char) {
			w.lower(d.char, w.marks[i].source)
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
	if w.n.punctuation.has(c) {
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
