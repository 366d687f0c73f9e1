package wordpiece

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestTokenizer(t *testing.T) {
	vocab := []string{"a", "[MASK]", "[SEP]", "##a", "[CLS]", "[UNK]", "[PAD]"}
	tok, err := New(vocab, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int32{tok.PAD(), tok.UNK(), tok.CLS(), tok.SEP(), tok.MASK()}; !slices.Equal(got, []int32{6, 5, 4, 2, 1}) {
		t.Errorf("special ids are %v", got)
	}
	if id, ok := tok.ID("##a"); id != 3 || !ok {
		t.Errorf("##a is %d, %v", id, ok)
	}
	if id, ok := tok.ID("b"); ok {
		t.Errorf("b is %d", id)
	}
	vocab[0] = "changed"
	tok.Vocab()[3] = "changed"
	if got := tok.Encode([]int32{9}, "AA Á b"); !slices.Equal(got, []int32{9, 0, 3, 0, 5}) {
		t.Errorf("got %v", got)
	}
	if got := tok.Decode([]int32{3, 0, 3, -1, 7, 1}); got != "##a aa [MASK]" {
		t.Errorf("decoded %q", got)
	}
}

func TestEncodePair(t *testing.T) {
	tok, err := New(append(specialTokens(), "a", "b"), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b     string
		length   int
		want     string
		segments string
	}{
		{"a a", "b b b", 0, "[CLS] a a [SEP] b b b [SEP]", "00001111"},
		{"a a", "b b b", 7, "[CLS] a a [SEP] b b [SEP]", "0000111"},
		{"a a a", "b b b", 6, "[CLS] a [SEP] b b [SEP]", "000111"},
		{"a a a a", "b", 6, "[CLS] a a [SEP] b [SEP]", "000011"},
		{"a [MASK]", "", 0, "[CLS] a [MASK] [SEP]", "0000"},
		{"a a a", "", 4, "[CLS] a a [SEP]", "0000"},
		{"a", "b", 2, "[CLS] [SEP] [SEP]", "001"},
	} {
		ids, segments := tok.EncodePair(c.a, c.b, c.length)
		var s strings.Builder
		for _, segment := range segments {
			fmt.Fprint(&s, segment)
		}
		if got := tokens(tok, ids); got != c.want || s.String() != c.segments {
			t.Errorf("EncodePair(%q, %q, %d): got %s, %s, want %s, %s", c.a, c.b, c.length, got, &s, c.want, c.segments)
		}
	}
}

func TestEncodeConcurrently(t *testing.T) {
	_, tok := loadGolden(t, "uncased")
	lines := testLines(t)
	want := tok.Encode(nil, strings.Join(lines, "\n"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				if got := tok.Encode(nil, strings.Join(lines, "\n")); !slices.Equal(got, want) {
					t.Error("ids differ between goroutines")
				}
			}
		})
	}
	wg.Wait()
}

func TestEncodeAllocatesNothing(t *testing.T) {
	_, tok := loadGolden(t, "uncased")
	text := testLines(t)[1]
	dst := make([]int32, 0, 1000)
	if n := testing.AllocsPerRun(10, func() { dst = tok.Encode(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A token that is longer than any word does not make the comparison of words longer.
func TestTokensLongerThanWords(t *testing.T) {
	long := strings.Repeat("ä", maxWordChars)
	begin, next := newPieces([]string{long, long + "ä", "##" + long + "ä", "b"})
	if begin.longest != len(long) || next.longest != 0 {
		t.Errorf("words are compared with %d and %d bytes", begin.longest, next.longest)
	}
}
