package wordpiece

import (
	"strings"
	"unicode/utf8"
)

// Encode appends the ids of text to dst, without special tokens. It takes text
// for text: a "[MASK]" in it is a bracket, a word and a bracket, so that a corpus
// cannot inject special tokens. EncodeWithSpecial is for text that may name them.
func (t *Tokenizer) Encode(dst []int32, text string) []int32 {
	var word [maxWordChars]byte
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			i, dst = t.encodeRest(dst, text, i)
			continue
		}
		switch k := t.norm.ascii[c]; k.kind() {
		case space, drop:
			i++
		case single:
			dst = append(dst, t.single[byte(k)])
			i++
		default:
			begin, n := i, 0
			for n < len(word) {
				word[n] = byte(k)
				n++
				if i++; i == len(text) || text[i] >= utf8.RuneSelf {
					break
				}
				if k = t.norm.ascii[text[i]]; k.kind() != letter {
					break
				}
			}
			if i == len(text) || text[i] < utf8.RuneSelf && (k.kind() == space || k.kind() == single) {
				dst = t.encodeWord(dst, word[:n])
			} else {
				i, dst = t.encodeRest(dst, text, begin)
			}
		}
	}
	return dst
}

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

// encodeRest encodes the words from text[begin] on to the next character that is
// ASCII and ends a word, and returns its place.
func (t *Tokenizer) encodeRest(dst []int32, text string, begin int) (int, []int32) {
	end := begin
	for end < len(text) {
		if c := text[end]; c < utf8.RuneSelf {
			if k := t.norm.ascii[c].kind(); k == space || k == single {
				break
			}
		}
		end++
	}
	w := t.writer()
	w.write(text[begin:end])
	words := w.words
	for i := 0; i < len(words); {
		n := wordLen(words[i:])
		dst = t.encodeWord(dst, words[i:i+n])
		i += n + 1
	}
	if cap(w.words) <= maxKept {
		t.writers.Put(w)
	}
	return end, dst
}

// maxKept is the size in bytes beyond which a writer is not used again, so that
// one long stretch does not hold its memory for good.
const maxKept = 64 << 10

// writer returns a writer with no words, to be put back into writers.
func (t *Tokenizer) writer() *wordWriter {
	w, ok := t.writers.Get().(*wordWriter)
	if !ok {
		w = &wordWriter{n: t.norm}
	}
	w.words = w.words[:0]
	return w
}

// wordLen returns the length of the word that words begins with; a space follows.
func wordLen(words []byte) int {
	n := 0
	for words[n] != ' ' {
		n++
	}
	return n
}

// encodeWord appends the pieces of a normalized word: the longest that it begins
// with, then the longest that continues it, and so on; [UNK] for the whole if
// that leads nowhere, or if the word is too long.
func (t *Tokenizer) encodeWord(dst []int32, word []byte) []int32 {
	if len(word) > maxWordChars && utf8.RuneCount(word) > maxWordChars {
		return append(dst, t.unk)
	}
	before := len(dst)
	for from := &t.begin; len(word) > 0; from = &t.next {
		id, n := from.match(word)
		if n == 0 {
			return append(dst[:before], t.unk)
		}
		dst = append(dst, id)
		word = word[n:]
	}
	return dst
}
