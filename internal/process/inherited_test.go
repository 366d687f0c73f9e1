//go:build unix

package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// inheritor makes this test a program that calls FixInherited.
const inheritor = "GRAMME_TEST_INHERITOR"

// TestMendInherited starts a program with a umask that keeps it from its own files,
// and with a limit on the size of files, which a signal would enforce.
func TestMendInherited(t *testing.T) {
	if dir := os.Getenv(inheritor); dir != "" {
		FixInherited()
		path := filepath.Join(dir, "a", "b")
		err := os.MkdirAll(path, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(path, "large"), make([]byte, 1<<20), 0o644)
		}
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("a large file: %v", err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `umask 0777; ulimit -f 1; exec "$0" -test.run='^TestMendInherited$' -test.v`, self)
	cmd.Env = append(os.Environ(), inheritor+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
