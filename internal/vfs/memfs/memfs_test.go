package memfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
	"github.com/gramme-project/gramme/internal/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.Run(t, func(*testing.T) (vfs.FS, string) { return memfs.New(), "/" })
	vfstest.Run(t, func(t *testing.T) (vfs.FS, string) {
		m := memfs.New()
		return m, folder(t, m, "/some/where")
	})
}

func folder(t *testing.T, m *memfs.FS, path string) string {
	t.Helper()
	if err := vfs.MkdirAll(m, path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// content is what a file holds, and that it is not there.
func content(t *testing.T, m *memfs.FS, path string) string {
	t.Helper()
	b, err := vfs.ReadFile(m, path)
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// outcomes counts what many losses of power leave, as look describes it.
func outcomes(m *memfs.FS, look func(left *memfs.FS) string) map[string]int {
	found := map[string]int{}
	for seed := range uint64(400) {
		found[look(m.Crash(memfs.KeepSome(seed)))]++
	}
	return found
}

// TestCrashOfAFile: content lasts once it is synced, the name once the folder is.
func TestCrashOfAFile(t *testing.T) {
	m := memfs.New()
	dir := folder(t, m, "/d")
	path := filepath.Join(dir, "f")
	f, err := vfs.Create(m, path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, at int64) {
		t.Helper()
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, keep memfs.Keep, want string) {
		t.Helper()
		if got := content(t, m.Crash(keep), path); got != want {
			t.Errorf("%s: %q is left, want %q", when, got, want)
		}
	}
	write("one", 0)
	expect("nothing synced", memfs.KeepNone, "absent")
	expect("nothing lost", memfs.KeepAll, "one")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	expect("only the content synced", memfs.KeepNone, "absent")
	if err := vfs.SyncDir(m, dir); err != nil {
		t.Fatal(err)
	}
	expect("all synced", memfs.KeepNone, "one")
	write(" and two", 3)
	expect("added to since", memfs.KeepNone, "one")
	got := outcomes(m, func(left *memfs.FS) string { return content(t, left, path) })
	if got["one"] == 0 || got["one and two"] == 0 || len(got) < 5 {
		t.Errorf("added to since: %v", got)
	}
	if err := f.Truncate(1); err != nil {
		t.Fatal(err)
	}
	expect("cut since", memfs.KeepNone, "one")
	expect("cut since, nothing lost", memfs.KeepAll, "o")
	write(strings.Repeat("x", 200), 0)
	torn := outcomes(m, func(left *memfs.FS) string { return fmt.Sprint(strings.Contains(content(t, left, path), "x\x00")) })
	if torn["true"] == 0 || torn["false"] == 0 {
		t.Errorf("no block is lost alone: %v", torn)
	}
	if content(t, m, path) != strings.Repeat("x", 200) {
		t.Error("a crash changes the file system that it is of")
	}
}

// TestCrashOfNames: any of the changes since the last sync of the folder may last.
func TestCrashOfNames(t *testing.T) {
	m := memfs.New()
	dir := folder(t, m, "/d")
	at := func(name string) string { return filepath.Join(dir, name) }
	do := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	do(vfs.WriteFile(m, at("old"), []byte("1"), 0o644), vfs.WriteFile(m, at("new"), []byte("2"), 0o644))
	do(m.Rename(at("old"), at("new")))
	got := outcomes(m, func(left *memfs.FS) string { return content(t, left, at("old")) + content(t, left, at("new")) })
	for _, want := range []string{"12", "11", "absent1", "absent2"} {
		if got[want] == 0 || len(got) != 4 {
			t.Fatalf("a file that was renamed: %v", got)
		}
	}
	do(vfs.SyncDir(m, dir), vfs.MkdirAll(m, at("a/b"), 0o755), m.Rename(at("a"), at("z")))
	names := func(left *memfs.FS) (list string) {
		entries, err := left.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list += e.Name() + " "
		}
		return list
	}
	if got := outcomes(m, names); len(got) != 2 || got["a new "] == 0 || got["new z "] == 0 {
		t.Errorf("a folder that was renamed: %v", got)
	}
	do(vfs.SyncDir(m, dir), vfs.RemoveAll(m, at("z")))
	if got := outcomes(m, func(left *memfs.FS) string {
		_, err := left.Stat(at("z/b"))
		return fmt.Sprint(names(left), err == nil)
	}); len(got) != 3 || got["new z true"] == 0 || got["new z false"] == 0 || got["new false"] == 0 {
		t.Errorf("a folder that was removed: %v", got)
	}
}

// TestWriteFileCrash cuts the power before each change, and lets each fail.
func TestWriteFileCrash(t *testing.T) {
	broken := errors.New("broken")
	for _, one := range []bool{false, true} {
		for stop, finished := 0, false; !finished; stop++ {
			m := memfs.New()
			path := filepath.Join(folder(t, m, "/d"), "f")
			old, next := bytes.Repeat([]byte("old"), 100), bytes.Repeat([]byte("new!"), 200)
			if err := vfs.WriteFile(m, path, old, 0o644); err != nil {
				t.Fatal(err)
			}
			left := stop
			m.Hook(func(memfs.Op) error {
				if left--; left < 0 && (!one || left == -1) {
					return broken
				}
				return nil
			})
			err := vfs.WriteFile(m, path, next, 0o644)
			if finished = err == nil; !finished && !errors.Is(err, broken) {
				t.Fatal(err)
			}
			for seed := range uint64(40) {
				got := content(t, m.Crash(memfs.KeepSome(seed)), path)
				if got != string(next) && (finished || got != string(old)) {
					t.Fatalf("change %d: %d bytes are left", stop, len(got))
				}
			}
			if finished && stop < 5 {
				t.Errorf("only %d changes", stop)
			}
		}
	}
}

// TestFullDisk: a write that fails is half done, and a file system can be filled.
func TestFullDisk(t *testing.T) {
	m := memfs.New()
	m.Hook(func(op memfs.Op) error {
		if op.Kind == "write" && op.Bytes > 3 {
			return syscall.ENOSPC
		}
		return nil
	})
	path := filepath.Join(folder(t, m, "/d"), "f")
	f, err := vfs.Create(m, path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("1234")); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := f.Write([]byte("5")); err != nil || content(t, m, path) != "125" {
		t.Errorf("%q, %v", content(t, m, path), err)
	}
}
