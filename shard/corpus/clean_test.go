package corpus

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		in, want string
		bad      int
	}{
		{"", "", 0},
		{"plain text", "plain text", 0},
		{" a  b\t\nc ", "a b c", 0},
		{"a\u00a0b\u3000c\u2028d", "a b c d", 0},
		{"zero\u200bwidth\u2060joiner", "zero width joiner", 0},
		{"so\u00adft \ufeffmark \u200eleft", "soft mark left", 0},
		{"a\x00b\x7fc\x1b", "abc", 3},
		{"caf\xe9", "caf", 1},
		{"\ufffd\ue000x", "x", 6},
		{"emoji 👩‍💻 stays", "emoji 👩‍💻 stays", 0},
		{"  ", "", 0},
		{"\xff", "", 1},
	} {
		if got, bad := Clean(c.in); got != c.want || bad != c.bad {
			t.Errorf("Clean(%q) = %q, %d; want %q, %d", c.in, got, bad, c.want, c.bad)
		}
	}
}

func TestGarbage(t *testing.T) {
	for _, c := range []struct {
		bad, size int
		want      bool
	}{{0, 0, false}, {4, 4, false}, {5, 24, true}, {5, 25, false}, {500, 10000, false}} {
		if got := garbage(c.bad, c.size); got != c.want {
			t.Errorf("garbage(%d, %d) = %t", c.bad, c.size, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a  b\xff\u00a0")
	f.Add("\u200b \ufeff")
	f.Fuzz(func(t *testing.T, s string) {
		clean, bad := Clean(s)
		if !utf8.ValidString(clean) || strings.Join(strings.Fields(clean), " ") != clean {
			t.Fatalf("%q is not clean", clean)
		}
		if bad < 0 || bad > len(s) {
			t.Fatalf("%d bad bytes of %d", bad, len(s))
		}
		if again, bad := Clean(clean); again != clean || bad != 0 {
			t.Fatalf("%q becomes %q", clean, again)
		}
	})
}

// FuzzCutText: what is cut off is never empty, never all, and no rune is torn.
func FuzzCutText(f *testing.F) {
	f.Add("One sentence. Another one that goes on", 20)
	f.Add("語語語語語語", 7)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		s, _ = Clean(s)
		if limit < utf8.UTFMax || limit >= len(s) {
			return
		}
		n := cutText(s, limit)
		if n < 1 || n > limit || !utf8.ValidString(s[:n]) || !utf8.ValidString(s[n:]) {
			t.Fatalf("cut %q at %d, limit %d", s, n, limit)
		}
	})
}
