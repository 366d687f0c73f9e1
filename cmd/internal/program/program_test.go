package program

import (
	"os"
	"path/filepath"
	"testing"
)

// TestName starts a program in each way that a shell knows.
func TestName(t *testing.T) {
	dir := t.TempDir()
	installed, checkout := filepath.Join(dir, "installed"), filepath.Join(dir, "my checkout")
	for _, folder := range []string{installed, checkout} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "gramme"), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(checkout, "gramme"), filepath.Join(installed, "dynamo")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, c := range []struct{ name, path, called, want string }{
		{"by its name", installed, "gramme", "gramme"},
		{"by a relative path", "", "my checkout/gramme", "my checkout/gramme"},
		{"by a path where another is installed", installed, "my checkout/gramme", "my checkout/gramme"},
		{"by the path of what is installed", installed, filepath.Join(installed, "gramme"), "gramme"},
		{"by the path where nothing is installed", "", filepath.Join(checkout, "gramme"), filepath.Join(checkout, "gramme")},
		{"by another name", installed, "dynamo", "dynamo"},
		{"by the path of another name", installed, "installed/dynamo", "dynamo"},
	} {
		t.Setenv("PATH", c.path)
		if got := nameOf(c.called); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
