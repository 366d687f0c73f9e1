//go:build cgo

package clustertest

import (
	"strings"
	"testing"
)

// TestOneCommand asks for the help of what the worker's binary does: it speaks as
// the command that a user has typed.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for verb, flag := range map[string]string{"worker": "--run-id name", "predict": "--top int"} {
		for _, args := range [][]string{{verb, "--help"}, {"help", verb}} {
			r := s.gramme(args...)
			s.want(r, 0, "gramme "+verb+" [flags]", flag)
			if strings.Contains(r.out, "gramme-worker") {
				t.Errorf("%v names the binary:\n%s", args, r.out)
			}
		}
		s.want(s.gramme(verb, "--nonsense"), 2, "error: unknown flag: --nonsense", "hint: `gramme "+verb+" --help` lists the flags")
	}
}
