package program

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
)

// TestFlagError offers the flag that was meant, and none where none is near.
func TestFlagError(t *testing.T) {
	for typed, want := range map[string]string{
		"--worker": "--workers", "--wrokers": "--workers", "--lr": "--optimizer-lr", "--rows": "--batch-rows", "--batch_rows": "--batch-rows",
		"--epochs": "", "--q": "",
	} {
		c := &cobra.Command{Use: "gramme", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		for _, name := range []string{"workers", "steps", "batch-rows", "optimizer-lr"} {
			c.Flags().String(name, "", "")
		}
		c.SetFlagErrorFunc(FlagError)
		c.SetArgs([]string{typed + "=1"})
		err := c.Execute()
		if exit.Code(err) != exit.Usage {
			t.Errorf("%s: %v", typed, err)
		}
		hint := exit.Hint(err)
		if offered := strings.Contains(hint, "did you mean"); offered != (want != "") || !strings.Contains(hint, want) || !strings.Contains(hint, "`gramme --help` lists the flags") {
			t.Errorf("%s: %s", typed, hint)
		}
	}
}
