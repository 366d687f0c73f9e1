package wordpiece

import (
	"context"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// wordCount is a word and how often it stands in the text.
type wordCount struct {
	word  string
	count int64
}

// countWords returns the words of a text, in order. When there are more than
// limit distinct ones, it forgets those that came once since the last time, then
// those that came twice, and so on, until three quarters of the limit are left:
// the count of a rare word is then too low, that of a frequent one hardly.
func countWords(ctx context.Context, text iter.Seq2[string, error], lowercase bool, limit int) ([]wordCount, error) {
	norm := newNormalizer(normalization{lowercase: lowercase, stripAccents: lowercase, spaceCJK: true})
	index := map[string]int{}
	var counts []wordCount
	var buffer []byte
	texts := 0
	for s, err := range text {
		if err != nil {
			return nil, err
		}
		if texts++; texts%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		buffer = norm.appendWords(buffer[:0], s)
		for rest := buffer; len(rest) > 0; {
			n := wordLen(rest)
			word := rest[:n]
			rest = rest[n+1:]
			if i, ok := index[string(word)]; ok {
				counts[i].count++
				continue
			}
			if n > maxWordChars && utf8.RuneCount(word) > maxWordChars {
				continue
			}
			if len(counts) >= limit {
				counts = forgetRare(counts, limit*3/4)
				clear(index)
				for i, c := range counts {
					index[c.word] = i
				}
			}
			w := string(word)
			index[w] = len(counts)
			counts = append(counts, wordCount{w, 1})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(counts, func(a, b wordCount) int { return strings.Compare(a.word, b.word) })
	return counts, nil
}

// forgetRare drops the rarest words until at most keep are left.
func forgetRare(counts []wordCount, keep int) []wordCount {
	for least := int64(1); len(counts) > keep; least++ {
		counts = slices.DeleteFunc(counts, func(c wordCount) bool { return c.count <= least })
	}
	return counts
}
