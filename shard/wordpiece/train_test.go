package wordpiece

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func texts(ss ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, s := range ss {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// naiveTrain counts every pair again for every piece. Words are given, so that only the
// steps after the counting are checked.
func naiveTrain(words map[string]int, size int) []string {
	chars, vocab := map[string]int{}, specialTokens()
	var split [][]string
	var counts []int
	inside := map[string]bool{}
	for _, w := range slices.Sorted(func(yield func(string) bool) {
		for w := range words {
			if !yield(w) {
				return
			}
		}
	}) {
		var pieces []string
		for i, c := range strings.Split(w, "") {
			chars[c] += words[w]
			if i > 0 {
				c = "##" + c
				inside[c] = true
			}
			pieces = append(pieces, c)
		}
		split, counts = append(split, pieces), append(counts, words[w])
	}
	var first, rest []string
	for c := range chars {
		first = append(first, c)
	}
	for c := range inside {
		rest = append(rest, c)
	}
	slices.Sort(first)
	slices.Sort(rest)
	vocab = append(append(vocab, first...), rest...)
	for len(vocab) < size {
		pairs := map[[2]string]int{}
		for i, pieces := range split {
			for j := range len(pieces) - 1 {
				pairs[[2]string{pieces[j], pieces[j+1]}] += counts[i]
			}
		}
		var best [2]string
		for p, n := range pairs {
			l, r := slices.Index(vocab, p[0]), slices.Index(vocab, p[1])
			bl, br := slices.Index(vocab, best[0]), slices.Index(vocab, best[1])
			if n > pairs[best] || n == pairs[best] && (l < bl || l == bl && r < br) {
				best = p
			}
		}
		if pairs[best] < 2 {
			break
		}
		joined := best[0] + strings.TrimPrefix(best[1], "##")
		if !slices.Contains(vocab, joined) {
			vocab = append(vocab, joined)
		}
		for i, pieces := range split {
			var out []string
			for j := 0; j < len(pieces); j++ {
				if j+1 < len(pieces) && pieces[j] == best[0] && pieces[j+1] == best[1] {
					out = append(out, joined)
					j++
				} else {
					out = append(out, pieces[j])
				}
			}
			split[i] = out
		}
	}
	return vocab
}

func TestTrainAgainstNaive(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		words := map[string]int{}
		for range 1 + draw.IntN(40) {
			w := make([]byte, 1+draw.IntN(10))
			for i := range w {
				w[i] = "aab"[draw.IntN(3)] // many repeats, many ties, pieces made in two ways
				if round%2 == 0 {
					w[i] = "abcde"[draw.IntN(5)]
				}
			}
			words[string(w)] += 1 + draw.IntN(4)
		}
		var text []string
		for w, n := range words {
			text = append(text, strings.Repeat(w+" ", n))
		}
		size := 20 + draw.IntN(60)
		got, err := Train(t.Context(), texts(text...), TrainOptions{VocabSize: size})
		if err != nil {
			t.Fatal(err)
		}
		if want := naiveTrain(words, size); !slices.Equal(got, want) {
			t.Fatalf("%v\n got %v\nwant %v", words, got, want)
		}
	}
}

func TestTrainSmall(t *testing.T) {
	got, err := Train(t.Context(), texts("Ab, ab ab.", "Ábc"), TrainOptions{VocabSize: 8192, Lowercase: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ".", "a", "b", "c", "##b", "##c", "ab"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	tok, err := New(got, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := tokens(tok, tok.Encode(nil, "abc b, Bb!")); got != "ab ##c b , b ##b [UNK]" {
		t.Errorf("with that vocabulary: %s", got)
	}
}

// TestTrainAlphabet leaves room for the most frequent characters where the
// vocabulary is smaller than the alphabet: neighbours of others become each other's.
func TestTrainAlphabet(t *testing.T) {
	got, err := Train(t.Context(), texts("axb axb ayb azb aa bb xx"), TrainOptions{VocabSize: 11})
	if err != nil {
		t.Fatal(err)
	}
	want := append(specialTokens(), "a", "b", "x", "##a", "##b", "##x")
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got, err = Train(t.Context(), texts("axb axb ayb azb aa bb xx"), TrainOptions{VocabSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	want = append(specialTokens(), "a", "b", "##a", "##b", "ab")
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTrainErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		text iter.Seq2[string, error]
		size int
		want string
	}{
		{"small", t.Context(), texts("a"), 6, "a vocabulary of 6 tokens: at least 7 are needed"},
		{"empty", t.Context(), texts("", " \t", "\x00"), 100, "there are no words in the text"},
		{"text fails", t.Context(), func(yield func(string, error) bool) { yield("", broken) }, 100, "disk on fire"},
		{"cancelled", cancelled, texts("a b"), 100, "context canceled"},
	} {
		if _, err := Train(c.ctx, c.text, TrainOptions{VocabSize: c.size}); err == nil || err.Error() != c.want {
			t.Errorf("%s: got error %v, want %s", c.name, err, c.want)
		}
	}
}

func TestTrainProgress(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "%[1]c%[2]c%[1]c %[1]c%[2]c ", 'a'+i%26, 'a'+i/26)
	}
	last, calls := 0, 0
	_, err := Train(t.Context(), texts(b.String()), TrainOptions{VocabSize: 300, Progress: func(done, total int) {
		if done < last || total != 300 {
			t.Errorf("progress of %d of %d after %d", done, total, last)
		}
		last = done
		calls++
	}})
	if err != nil || last != 300 || calls < 3 {
		t.Errorf("%v, after %d calls, the last with %d", err, calls, last)
	}
}

// TestCountWordsBounded has more distinct words than may be held: the rare ones
// go, and the frequent ones keep their counts.
func TestCountWordsBounded(t *testing.T) {
	const limit = 100
	text := func(yield func(string, error) bool) {
		for i := range 2000 {
			if !yield(fmt.Sprintf("rare%d the Of and the", i), nil) {
				return
			}
		}
	}
	counts, err := countWords(t.Context(), text, true, limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(counts) > limit {
		t.Errorf("%d words are held", len(counts))
	}
	found := map[string]int64{}
	for _, c := range counts {
		found[c.word] = c.count
	}
	if found["the"] != 4000 || found["of"] != 2000 || found["and"] != 2000 {
		t.Errorf("the: %d, of: %d, and: %d", found["the"], found["of"], found["and"])
	}
}

func TestCountWordsLong(t *testing.T) {
	counts, err := countWords(t.Context(), texts(strings.Repeat("é", 100)+" "+strings.Repeat("é", 101)), false, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(counts) != 1 || counts[0].word != strings.Repeat("é", 100) {
		t.Errorf("got %v", counts)
	}
}
