package wordpiece

import (
	"cmp"
	"slices"
	"strings"
)

// EncodeWithSpecial appends the ids of text to dst, as Encode does, but takes the
// names of special tokens in it for those tokens, as Hugging Face's tokenizer does
// by default, without adding [CLS] and [SEP]. Names count as they are
// written, in capitals; the text between is encoded by itself.
func (t *Tokenizer) EncodeWithSpecial(dst []int32, text string) []int32 {
	for text != "" {
		at, token := findSpecial(text)
		dst = t.Encode(dst, text[:at])
		if token == "" {
			break
		}
		dst = append(dst, t.ids[token])
		text = text[at+len(token):]
	}
	return dst
}

// findSpecial returns the first special token in text and its place; without one,
// the end of text and "".
func findSpecial(text string) (int, string) {
	for at := 0; ; at++ {
		i := strings.IndexByte(text[at:], '[')
		if i < 0 {
			return len(text), ""
		}
		at += i
		// No name begins another, so that the order of the list does not matter.
		for _, token := range specialTokens() {
			if strings.HasPrefix(text[at:], token) {
				return at, token
			}
		}
	}
}

// EncodePair returns the ids and the segments (0 or 1) of [CLS] a [SEP] b [SEP],
// as a BERT model takes two texts, or of [CLS] a [SEP] if b is empty; special
// tokens in the texts count. If that is longer than maxLength, the longer text
// loses its end first, then both in turn, as Hugging Face's truncation does. A
// maxLength of 0 is no limit; one that has no room for text leaves the special
// tokens alone.
func (t *Tokenizer) EncodePair(a, b string, maxLength int) (ids []int32, segments []uint8) {
	x, y := t.EncodeWithSpecial(nil, a), t.EncodeWithSpecial(nil, b)
	special := 3
	if b == "" {
		special = 2
	}
	if maxLength > 0 {
		n, m := truncated(len(x), len(y), max(0, maxLength-special))
		x, y = x[:n], y[:m]
	}
	ids = append(append(append(ids, t.cls), x...), t.sep)
	first := len(ids)
	if b != "" {
		ids = append(append(ids, y...), t.sep)
	}
	segments = make([]uint8, len(ids))
	for i := first; i < len(segments); i++ {
		segments[i] = 1
	}
	return ids, segments
}

// truncated cuts lengths down to a sum of room, the longer first.
func truncated(n, m, room int) (int, int) {
	if n+m <= room {
		return n, m
	}
	half := room / 2
	switch {
	case n <= half:
		return n, room - n
	case m <= half:
		return room - m, m
	case n > m:
		return room - half, half
	}
	return half, room - half
}

// specialByID lists the special tokens in the order of their ids.
func (t *Tokenizer) specialByID() []string {
	return slices.SortedFunc(slices.Values(specialTokens()), func(a, b string) int {
		return cmp.Compare(t.ids[a], t.ids[b])
	})
}
