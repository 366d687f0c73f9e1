package corpus

import (
	"reflect"
	"strings"
	"testing"
)

// TestSentences: a bar marks where a sentence must end; there are no others.
func TestSentences(t *testing.T) {
	for _, marked := range []string{
		"Dr. Smith came at 5 p.m.| He left.| Mr. J. R. Jones stayed.",
		"See Fig. 3 for details.| It is e.g. good, i.e. fine.",
		"Hello world!| How are you?| Fine...and you?| Fine...| Thanks.",
		"And then ... nothing.| So he said … nothing!",
		`He said "Stop."| Then he left.| (It was late.)| So what?`,
		"Version 1.2.3 is out.| It costs $3.50.| No. 5 is alive.| No.| That is wrong.",
		"这是第一句。|这是第二句！|第三句？|「第四句。」|第五",
		"The U.S.| The army.| In the U.S. army.",
		"Call `f.Close. Then` now.| Next one.",
		"3. The third item.| 4. The fourth.",
		"A lone ` backquote.| Next one.",
		"Use net/http.Get or www.example.com for it. it goes on.",
		"Apples, pears, etc. are fruit.| Apples, pears, etc.| Bananas are too.",
		"What?!| Really?!| Yes.",
		"It was I.| You were there.",
		"z.B. ein Haus.| Das ist u.a. gut.| Über uns.",
		"A sentence without an end",
		"“Quoted.”| «Cité.»| Last.",
		"",
	} {
		s := strings.ReplaceAll(marked, "|", "")
		var want []string
		for part := range strings.SplitSeq(marked, "|") {
			if part = strings.TrimSpace(part); part != "" {
				want = append(want, part)
			}
		}
		if got := AppendSentences(nil, s); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// FuzzSentences: sentences are the paragraph, but for the spaces between them.
func FuzzSentences(f *testing.F) {
	for _, s := range []string{"One. Two! Three?", "`a. B` `c. D", "e.g. A... “B.” 。。x", "I. J. K. 1. 2.", "\xff. A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s, _ = Clean(s)
		at := 0
		for _, sentence := range AppendSentences(nil, s) {
			if sentence == "" || strings.TrimSpace(sentence) != sentence {
				t.Fatalf("%q in %q", sentence, s)
			}
			for s[at] == ' ' {
				at++
			}
			if !strings.HasPrefix(s[at:], sentence) {
				t.Fatalf("%q does not follow in %q", sentence, s)
			}
			at += len(sentence)
		}
		if strings.TrimSpace(s[at:]) != "" {
			t.Fatalf("%q is lost", s[at:])
		}
	})
}

func BenchmarkSentences(b *testing.B) {
	s := strings.Repeat("The quick brown fox jumps over the lazy dog, e.g. in Fig. 3 of it. Then it sleeps. ", 200)
	b.SetBytes(int64(len(s)))
	var dst []string
	for b.Loop() {
		dst = AppendSentences(dst[:0], s)
	}
}
