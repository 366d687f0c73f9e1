package wordpiece

import "strings"

// Decode returns the text of ids: words with spaces between, pieces joined to
// the one before, and spaces taken out where English has none, as Hugging
// Face's clean-up does it ("it ' s here ." is "it's here."). Special tokens are
// spelled out. Losses of encoding (case, accents, spacing, words that were [UNK])
// are not restored; an id beyond the vocabulary is left out.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.vocab) {
			continue
		}
		token := t.vocab[id]
		if b.Len() == 0 {
			b.WriteString(token)
		} else if rest, ok := strings.CutPrefix(token, continuation); ok {
			b.WriteString(rest)
		} else {
			b.WriteByte(' ')
			b.WriteString(token)
		}
	}
	return cleanUp(b.String())
}

// cleanUp makes the replacements in their order, each over the whole text.
func cleanUp(s string) string {
	for _, r := range [][2]string{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"},
		{" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}
