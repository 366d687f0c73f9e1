//go:build cgo

package torch

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNoHome starts this program with homes that are none, or not to be touched.
func TestNoHome(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, home := range []string{empty, filepath.Join(self, "below-a-file"), ""} {
		cmd := exec.Command(self, "-test.run=^$")
		cmd.Env = append(os.Environ(), "HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("HOME=%q: %v: %s", home, err, out)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v in HOME: %v", left, err)
	}
}
