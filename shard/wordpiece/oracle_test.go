package wordpiece

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// naiveEncode says plainly what Encode computes: one step over the whole text
// after the other, as Hugging Face documents them. Its normalization form D is
// that of golang.org/x/text, which is why it needs ordinary text: no run of more
// than thirty marks, and no character that the library's Unicode does not know.
func naiveEncode(t *Tokenizer, text string) []int32 {
	how, n := t.norm.how, t.norm
	var clean strings.Builder
	for _, c := range text {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
			clean.WriteByte(' ')
		case n.dropped.has(c):
		case unicode.IsSpace(c):
			clean.WriteByte(' ')
		case how.spaceCJK && isIdeograph(c):
			clean.WriteString(" " + string(c) + " ")
		default:
			clean.WriteRune(c)
		}
	}
	s := clean.String()
	if how.stripAccents {
		s = strings.Map(func(c rune) rune {
			if n.nonspacing.has(c) {
				return -1
			}
			return c
		}, norm.NFD.String(s))
	}
	if how.lowercase {
		s = strings.Map(n.toLower, strings.ReplaceAll(s, "İ", "i\u0307"))
	}
	var apart strings.Builder
	for _, c := range s {
		if n.punctuation.has(c) {
			apart.WriteString(" " + string(c) + " ")
		} else {
			apart.WriteRune(c)
		}
	}
	var ids []int32
	for _, word := range strings.Fields(apart.String()) {
		ids = append(ids, naivePieces(t, word)...)
	}
	return ids
}

func naivePieces(t *Tokenizer, word string) []int32 {
	if utf8.RuneCountInString(word) > 100 {
		return []int32{t.unk}
	}
	var ids []int32
	prefix := ""
	for word != "" {
		end := len(word)
		for end > 0 && !slices.Contains(t.vocab, prefix+word[:end]) {
			end--
		}
		if end == 0 {
			return []int32{t.unk}
		}
		ids = append(ids, t.ids[prefix+word[:end]])
		word, prefix = word[end:], "##"
	}
	return ids
}

// ordinary reports whether x/text decomposes as the library does.
func ordinary(n *normalizer, s string) bool {
	marks := 0
	for _, c := range s {
		p := norm.NFD.PropertiesString(string(c))
		known := n.canonical.has(c)
		if !known && (p.CCC() != 0 || p.Decomposition() != nil) {
			return false
		}
		if marks++; !known && !n.dropped.has(c) {
			marks = 0
		}
		if marks > 15 {
			return false
		}
	}
	return true
}

// smallTokenizers has one for each way to normalize, with a vocabulary in which
// pieces overlap.
func smallTokenizers(t testing.TB) []*Tokenizer {
	t.Helper()
	vocab := specialTokens()
	for _, c := range "abcxyzé中字ñ한ㄱ.!'ßσж\u0307\u302e" {
		vocab = append(vocab, string(c), "##"+string(c))
	}
	vocab = append(vocab, "ab", "abc", "##bc", "##bca", "##ca", "aab", "##", "xyz", "##yzx", "é!", "##字a")
	var out []*Tokenizer
	for i := range 8 {
		tok, err := newTokenizer(vocab, normalization{lowercase: i&1 != 0, stripAccents: i&2 != 0, spaceCJK: i&4 != 0})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tok)
	}
	return out
}

func checkEncode(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	if !ordinary(tok.norm, text) {
		return
	}
	want := naiveEncode(tok, text)
	if got := tok.Encode(nil, text); !slices.Equal(got, want) {
		t.Fatalf("%+v: Encode(%q)\n got %s\nwant %s", tok.norm.how, text, tokens(tok, got), tokens(tok, want))
	}
}

func TestEncodeAgainstNaive(t *testing.T) {
	alphabet := []string{
		"a", "b", "c", "ab", "abc", "x", "y", "z", "A", "Z", "é", "É", "e\u0301", "中", "字", "ñ", "한", "ㄱ", ".", "!", "'",
		"İ", "ß", "Σ", "Ж", " ", " ", " ", "\n", "\u00a0", "\x00", "\u200d", "\ufffd", "\xff", "\xe4\xb8", "\u302e", "\u0316",
		"\U0001d165", "豈", "\u037e", "[MASK]", "[", "😀", strings.Repeat("x", 99), strings.Repeat("é", 50),
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for _, tok := range smallTokenizers(t) {
		for range 1500 {
			var b strings.Builder
			for range draw.IntN(24) {
				b.WriteString(alphabet[draw.IntN(len(alphabet))])
			}
			checkEncode(t, tok, b.String())
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, line := range testLines(f) {
		if len(line) < 120 {
			f.Add(line)
		}
	}
	toks := smallTokenizers(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			checkEncode(t, tok, text)
		}
	})
}
