package wordpiece

import (
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
	if got := []int32{tok.CLS(), tok.SEP(), tok.MASK()}; !slices.Equal(got, []int32{4, 2, 1}) {
		t.Errorf("special ids are %v", got)
	}
	vocab[0] = "changed"
	tok.Vocab()[3] = "changed"
	if got := tok.Encode([]int32{9}, "AA Á b"); !slices.Equal(got, []int32{9, 0, 3, 0, 5}) {
		t.Errorf("got %v", got)
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
