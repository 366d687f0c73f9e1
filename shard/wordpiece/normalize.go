package wordpiece

import (
	"unicode"
	"unicode/utf8"
)

// normalization holds the three settings of a BERT tokenizer for text before it is cut.
type normalization struct {
	lowercase    bool
	stripAccents bool
	spaceCJK     bool // an ideograph is a word by itself
}

// normalizer cleans text and finds its words, as Hugging Face's BertNormalizer
// and BertPreTokenizer do one after the other: controls go, white space becomes
// spaces, ideographs are set apart; accents are stripped (normalization form D
// without its nonspacing marks); case is lowered; punctuation is set apart.
type normalizer struct {
	how                                                normalization
	dropped, punctuation, nonspacing, canonical, lower runs
	// ascii and plane hold the class of the characters that are common, so that
	// no table is searched for them.
	ascii [utf8.RuneSelf]class
	plane []class
}

// class is the treatment of a character: its kind, and its replacement.
type class uint32

const (
	letter  class = iota << 24 // part of a word
	space                      // between words
	single                     // a word by itself
	drop                       // nothing
	several                    // several characters, or a mark that may move
	kinds   class = 0xff << 24
)

func (c class) kind() class { return c & kinds }
func (c class) char() rune  { return rune(c &^ kinds) }

// planeSize covers the basic multilingual plane.
const planeSize = 1 << 16

func newNormalizer(how normalization) *normalizer {
	t := tables()
	n := &normalizer{
		how: how, dropped: t["dropped"], punctuation: t["punctuation"], nonspacing: t["nonspacing"],
		canonical: t["canonical"], lower: t["lower"], plane: make([]class, planeSize),
	}
	for c := range n.plane {
		n.plane[c] = n.classify(rune(c))
	}
	copy(n.ascii[:], n.plane)
	return n
}

// class returns the class of a character; U+FFFD stands for bytes that are not UTF-8.
func (n *normalizer) class(c rune) class {
	if c < planeSize {
		return n.plane[c]
	}
	return n.classify(c)
}

func (n *normalizer) classify(c rune) class {
	if c == '\t' || c == '\n' || c == '\r' {
		return space
	}
	if n.dropped.has(c) {
		return drop
	}
	if unicode.IsSpace(c) {
		return space
	}
	out := c
	if n.how.stripAccents {
		// A mark that goes may move others or keep them from moving, but that
		// shows only where one stays; and that one is several.
		rest := 0
		var buffer [4]decomposed
		for _, d := range n.decompose(buffer[:0], c) {
			if n.nonspacing.has(d.char) {
				continue
			}
			if d.combining != 0 {
				return several
			}
			out = d.char
			rest++
		}
		if rest == 0 {
			return drop
		}
		if rest > 1 {
			return several
		}
	}
	if n.how.lowercase {
		if out == dottedI {
			return several
		}
		out = n.toLower(out)
	}
	if n.how.spaceCJK && isIdeograph(c) || n.punctuation.has(out) {
		return single | class(out)
	}
	return letter | class(out)
}

// dottedI is the one character whose lower case is two.
const dottedI = 'İ'

func (n *normalizer) toLower(c rune) rune {
	if r, ok := n.lower.find(c); ok {
		return c + r.delta
	}
	return c
}

// isIdeograph holds the blocks that Hugging Face's library calls Chinese; it is
// Google's list but for where its sixth begins.
func isIdeograph(c rune) bool {
	return c >= 0x4E00 && c <= 0x9FFF || c >= 0x3400 && c <= 0x4DBF ||
		c >= 0x20000 && c <= 0x2A6DF || c >= 0x2A700 && c <= 0x2B73F ||
		c >= 0x2B740 && c <= 0x2B81F || c >= 0x2B920 && c <= 0x2CEAF ||
		c >= 0xF900 && c <= 0xFAFF || c >= 0x2F800 && c <= 0x2FA1F
}
