package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/procfs"

	"github.com/gramme-project/gramme/internal/rundir"
)

func TestMemory(t *testing.T) {
	if free, total, swap := memory(); free <= 0 || free > total || swap < 0 {
		t.Errorf("%d free of %d, swap %d", free, total, swap)
	}
}

func TestUserTasks(t *testing.T) {
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	if own, all := threadsOf(self), userTasks(); own < 1 || all < 1 {
		t.Errorf("%d threads of this process, %d of this user", own, all)
	}
}

// TestLookCreatesNothing looks at a run that is not there.
func TestLookCreatesNothing(t *testing.T) {
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
