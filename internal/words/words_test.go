package words

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSeveral(t *testing.T) {
	for _, c := range []struct {
		n          int
		what, want string
	}{
		{1, "step", "1 step"}, {0, "step", "0 steps"}, {2, "checkpoint", "2 checkpoints"},
		{1, "ledger entry", "1 ledger entry"}, {3, "ledger entry", "3 ledger entries"}, {2, "copy", "2 copies"},
		{2, "micro-batch", "2 micro-batches"}, {2, "process", "2 processes"}, {2, "day", "2 days"}, {-1, "degree", "-1 degrees"},
	} {
		if got := Several(c.n, c.what); got != c.want {
			t.Errorf("%d %s is %q", c.n, c.what, got)
		}
	}
	if got := "10k " + Plural(int64(10_000), "document"); got != "10k documents" {
		t.Error(got)
	}
}

// FuzzQuote asks a shell what it makes of a quoted word.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "plain", "two words", "it's", `"`, "$HOME", "`id`", "a\nb", "\\", "~", "*", "-n", "%s", "a=b", "#", "!", "é", "\x80", "'", "''", "runs/mine"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.ContainsRune(word, 0) {
			return
		}
		out, err := exec.Command("sh", "-c", "printf %s "+Command(word, "end")).Output()
		if err != nil || string(out) != word+"end" {
			t.Errorf("%q, quoted as %s, is %q to the shell: %v", word, Quote(word), out, err)
		}
	})
}

func TestCalled(t *testing.T) {
	const text = "`gramme up --run x` starts it; gramme is not a command here, nor is `ip addr`"
	for name, want := range map[string]string{
		"gramme":         text,
		"bin/gramme":     "`bin/gramme up --run x` starts it; gramme is not a command here, nor is `ip addr`",
		"/my dir/gramme": "`'/my dir/gramme' up --run x` starts it; gramme is not a command here, nor is `ip addr`",
	} {
		if got := WithProgramName(text, name); got != want {
			t.Errorf("called %s: %s", name, got)
		}
	}
}
