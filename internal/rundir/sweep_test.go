package rundir

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSweep removes the folders in which no process listens any more, and no others.
func TestSweep(t *testing.T) {
	place, err := os.MkdirTemp("", "sweep") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(place)
	now := time.Now()
	kept := map[string]bool{}
	make := func(name string, keep bool, age time.Duration, socket, alive bool) {
		t.Helper()
		dir := filepath.Join(place, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if socket {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			if alive {
				t.Cleanup(func() { l.Close() })
			} else { // as of a process that was killed
				l.SetUnlinkOnClose(false)
				l.Close()
			}
		}
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		kept[dir] = keep
	}
	ours := fmt.Sprintf("gramme-%d-", os.Getuid())
	make(ours+"aaaaaaaaaaaa", false, time.Hour, true, false)
	make(ours+"bbbbbbbbbbbb", true, time.Hour, true, true)
	make(ours+"cccccccccccc", true, time.Minute, true, false)
	make(ours+"dddddddddddd", false, time.Hour, false, false)
	make("gramme-cut-1", false, time.Hour, true, false)
	make("gramme-cut-2", true, time.Hour, true, true)
	make(ours+"short", true, time.Hour, true, false)
	make("gramme-meter-x-rapl", true, time.Hour, false, false)
	make("other", true, time.Hour, true, false)
	if err := sweep(place, now); err != nil {
		t.Fatal(err)
	}
	for dir, keep := range kept {
		if _, err := os.Stat(dir); (err == nil) != keep {
			t.Errorf("%s is kept: %v", filepath.Base(dir), err == nil)
		}
	}
}
