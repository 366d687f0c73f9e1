package wordpiece

import "strings"

// Offset says which bytes of a text a piece comes from.
type Offset struct{ From, To int }

// EncodeOffsets is EncodeWithSpecial with the place of each piece in the text:
// offsets has one entry for each id that was appended. A piece covers whole
// characters of the text, with those between that cleaning removed; marks that
// were stripped at its end are not in it. Several pieces of one character have the
// same place.
func (t *Tokenizer) EncodeOffsets(dst []int32, text string) (ids []int32, offsets []Offset) {
	for base := 0; base < len(text); {
		at, token := findSpecial(text[base:])
		dst, offsets = t.encodeOffsets(dst, offsets, text[base:base+at], base)
		base += at
		if token != "" {
			dst = append(dst, t.ids[token])
			offsets = append(offsets, Offset{base, base + len(token)})
			base += len(token)
		}
	}
	return dst, offsets
}

// encodeOffsets does it for a text that begins at base and names no special token.
func (t *Tokenizer) encodeOffsets(dst []int32, offsets []Offset, text string, base int) ([]int32, []Offset) {
	w := wordWriter{n: t.norm, trace: true}
	w.words = make([]byte, 0, len(text)+len(text)/2)
	w.sources = make([]source, 0, cap(w.words))
	w.write(text)
	for i := 0; i < len(w.words); {
		n := wordLen(w.words[i:])
		before := len(dst)
		dst = t.encodeWord(dst, w.words[i:i+n])
		at := i
		for _, id := range dst[before:] {
			size := len(strings.TrimPrefix(t.vocab[id], continuation))
			if id == t.unk && len(dst) == before+1 {
				size = n
			}
			offsets = append(offsets, Offset{
				From: base + w.sources[at].from,
				To:   base + w.sources[at+size-1].to,
			})
			at += size
		}
		i += n + 1
	}
	return dst, offsets
}
