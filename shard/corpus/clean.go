package corpus

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns text as one line: bytes that are no UTF-8, control and
// replacement characters, byte order marks and soft hyphens are dropped, and
// every run of white space becomes one space. bad counts the bytes that were
// dropped as garbage (white space is none).
func Clean(s string) (clean string, bad int) {
	if isClean(s) {
		return s, 0
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case unicode.IsSpace(r) || r == 0x200b || r == 0x2060:
			space = b.Len() > 0
			continue
		case r == utf8.RuneError || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Co, r):
			bad += n
			continue
		case r == 0xfeff || r == 0xad || r == 0x200e || r == 0x200f:
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String(), bad
}

// isClean is the quick path: printable ASCII with single spaces inside.
func isClean(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && last == ' ' {
			return false
		}
		last = c
	}
	return last != ' ' || s == ""
}

// garbage says whether so much of a text was dropped that the rest cannot be
// trusted: more than a fifth, and more than a stray byte or two.
func garbage(bad, size int) bool { return bad > 4 && bad*5 > size }

// closers may follow the end of a sentence and still belong to it.
const closers = "\"')]}”’»›」』）】》〉*_"

// endsSentence says whether a line ends as sentences end.
func endsSentence(s string) bool {
	s = strings.TrimRight(s, closers+" ")
	r, _ := utf8.DecodeLastRuneInString(s)
	return strings.ContainsRune(".!?…。！？｡", r)
}
