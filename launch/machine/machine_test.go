package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/launch/preflight"
)

func TestParseMemory(t *testing.T) {
	free, total, swap := parseMemory([]byte("MemTotal:       24683520 kB\nMemFree: 1 kB\nMemAvailable:   20000000 kB\nSwapTotal:       1024 kB\nHugePages_Total:       0\n"))
	if free != 20000000<<10 || total != 24683520<<10 || swap != 1<<20 {
		t.Errorf("%d free of %d, swap %d", free, total, swap)
	}
	if free, total, swap = parseMemory([]byte("Odd: x kB\n")); free != preflight.Unlimited || total != preflight.Unlimited || swap != 0 {
		t.Errorf("unknown: %d free of %d, swap %d", free, total, swap)
	}
}

func TestThreadsOf(t *testing.T) {
	status := []byte("Name:\tx\nUid:\t1000\t1000\t1000\t1000\nThreads:\t7\n")
	if n := threadsOf(status, 1000); n != 7 {
		t.Errorf("%d threads", n)
	}
	if n := threadsOf(status, 0); n != 0 {
		t.Errorf("%d threads of another user", n)
	}
}

// TestLookLeavesNothing looks at a run that is not there.
func TestLookLeavesNothing(t *testing.T) {
	root := t.TempDir()
	f := Look(rundir.Dir(filepath.Join(root, "a", "b")))
	if f.Run.Problem != "" || f.Run.Free <= 0 || f.Files <= 0 || f.Processors < 1 {
		t.Errorf("%+v", f)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}
}

// TestFolderThatIsNone is below a file.
func TestFolderThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := folder(filepath.Join(file, "run")); f.Problem == "" {
		t.Errorf("%+v", f)
	}
}

func TestProblem(t *testing.T) {
	if text, _ := problem(&os.PathError{Op: "mkdir", Path: "/x", Err: errors.New("odd")}); text != "odd" {
		t.Errorf("it says %q", text)
	}
}
