package vfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS{}, t.TempDir() })
}

func TestNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := vfs.Create(vfs.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !vfs.Named(f, path) {
		t.Error("the file is not at its path")
	}
	if err := os.Remove(path); err != nil || vfs.Named(f, path) {
		t.Errorf("removed: it is still there (%v)", err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil || vfs.Named(f, path) {
		t.Errorf("replaced: it is still there (%v)", err)
	}
}
