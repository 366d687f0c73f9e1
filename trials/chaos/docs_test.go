package chaos

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestPage holds the page of the documentation to the program: every kind with its
// weight, every key, and a plan that is valid.
func TestPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/chaos.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, k := range kinds {
		if row := fmt.Sprintf("| `%s` | %d | %s |", k.kind, k.weight, k.doc); !strings.Contains(page, row) {
			t.Errorf("no row %s", row)
		}
	}
	for _, key := range slices.Sorted(maps.Keys((&planReader{}).fields(&Plan{}))) {
		if !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("no row of the key %s", key)
		}
	}
	_, plan, _ := strings.Cut(page, "```yaml\n")
	plan, _, _ = strings.Cut(plan, "```")
	if p, err := ParsePlan("docs/chaos.md", []byte(plan)); err != nil || p.Faults == 0 {
		t.Errorf("the plan of the page: %v", err)
	}
}
