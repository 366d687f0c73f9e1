package suggest

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"seed", "steps", "batch.rows", "rows", "checkpoint.every"}
	for typed, want := range map[string]int{
		"seeds": 0, "sede": 0, "step": 1, "Steps": 1, "batch.row": 2, "rows": 3, "checkpoint_every": 4, "chekpoint.evry": 4,
		"nothing.like.it": -1, "ls": -1, "x": -1, "abcdefghijkl": -1,
	} {
		if got := Nearest(typed, names); got != want {
			t.Errorf("%q is nearest to %d, not to %d", typed, got, want)
		}
	}
	if got := Nearest("x", nil); got != -1 {
		t.Errorf("of none the nearest is %d", got)
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"statsu", "status", 1}, {"ls", "up", 2}, {"kitten", "sitting", 3}, {"rows", "row", 1}} {
		if got, back := edits(c.a, c.b), edits(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q to %q: %d, back %d, not %d", c.a, c.b, got, back, c.want)
		}
	}
}
