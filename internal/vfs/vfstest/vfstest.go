// Package vfstest is what every vfs.FS has to do alike. It guarantees nothing about
// what a loss of power leaves: only package memfs can show that.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Run tries a file system in an empty folder of it.
func Run(t *testing.T, open func(t *testing.T) (fsys vfs.FS, dir string)) {
	for name, try := range map[string]func(t *testing.T, fsys vfs.FS, dir string){
		"files": files, "folders": folders, "renames": renames, "links": links, "locks": locks,
		"replaced": replaced, "errors": failures,
	} {
		t.Run(name, func(t *testing.T) {
			fsys, dir := open(t)
			try(t, fsys, dir)
		})
	}
}

func files(t *testing.T, fsys vfs.FS, dir string) {
	path := filepath.Join(dir, "a")
	f, err := vfs.Create(fsys, path)
	ok(t, err)
	_, err = f.Write([]byte("one "))
	ok(t, err)
	_, err = f.Write([]byte("two"))
	ok(t, err)
	_, err = f.WriteAt([]byte("!"), 9)
	ok(t, err)
	holds(t, fsys, path, "one two\x00\x00!")
	ok(t, f.Truncate(6))
	ok(t, f.Sync())
	b := make([]byte, 9)
	if n, err := f.ReadAt(b, 2); n != 4 || !errors.Is(err, io.EOF) || string(b[:n]) != "e tw" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, err := f.ReadAt(b, 6); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes behind the end, %v", n, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 6 || !info.Mode().IsRegular() {
		t.Errorf("%+v, %v", info, err)
	}
	ok(t, f.Close())
	holds(t, fsys, path, "one tw")

	old := time.Unix(1e9, 0)
	ok(t, fsys.Chtimes(path, old, old))
	if info, err := fsys.Stat(path); err != nil || !info.ModTime().Equal(old) || info.Name() != "a" {
		t.Errorf("%+v, %v", info, err)
	}
	f, err = fsys.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	_, err = f.WriteAt([]byte("O"), 0)
	ok(t, err)
	ok(t, f.Close())
	holds(t, fsys, path, "One tw")
	if info, err := fsys.Stat(path); err != nil || info.ModTime().Equal(old) {
		t.Errorf("not changed since: %+v, %v", info, err)
	}
	f, err = vfs.Create(fsys, path)
	ok(t, err)
	ok(t, f.Close())
	holds(t, fsys, path, "")

	// A file that is open stays what it was, whatever becomes of its name.
	f, err = vfs.Create(fsys, path)
	ok(t, err)
	ok(t, fsys.Remove(path))
	_, err = f.Write([]byte("x"))
	ok(t, err)
	b = make([]byte, 1)
	_, err = f.ReadAt(b, 0)
	ok(t, err)
	ok(t, f.Close())
	is(t, read(fsys, path), fs.ErrNotExist)
}

func folders(t *testing.T, fsys vfs.FS, dir string) {
	deep := filepath.Join(dir, "a", "b", "c")
	ok(t, vfs.MkdirAll(fsys, deep, 0o755))
	ok(t, vfs.MkdirAll(fsys, deep, 0o755))
	ok(t, vfs.WriteFile(fsys, filepath.Join(deep, "f"), []byte("x"), 0o600))
	ok(t, vfs.WriteFile(fsys, filepath.Join(dir, "a", "a"), nil, 0o644))
	ok(t, fsys.Symlink("a", filepath.Join(dir, "a", "link")))
	entries, err := fsys.ReadDir(filepath.Join(dir, "a"))
	ok(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+e.Type().String()[:1])
	}
	if !slices.Equal(names, []string{"a-", "bd", "linkL"}) {
		t.Errorf("%q", names)
	}
	if info, err := fsys.Stat(deep); err != nil || !info.IsDir() {
		t.Errorf("%+v, %v", info, err)
	}
	is(t, fsys.Remove(deep), syscall.ENOTEMPTY)
	ok(t, vfs.RemoveAll(fsys, filepath.Join(dir, "a")))
	ok(t, vfs.RemoveAll(fsys, filepath.Join(dir, "a")))
	if entries, err := fsys.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func renames(t *testing.T, fsys vfs.FS, dir string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, content string) {
		ok(t, vfs.MkdirAll(fsys, filepath.Dir(at(name)), 0o755))
		ok(t, vfs.WriteFile(fsys, at(name), []byte(content), 0o644))
	}
	put("old", "1")
	put("new", "2")
	ok(t, fsys.Rename(at("old"), at("new")))
	holds(t, fsys, at("new"), "1")
	is(t, read(fsys, at("old")), fs.ErrNotExist)
	is(t, fsys.Rename(at("old"), at("new")), fs.ErrNotExist)
	ok(t, fsys.Rename(at("new"), at("new")))

	put("d/f", "3")
	ok(t, fsys.Rename(at("d"), at("e")))
	holds(t, fsys, at("e/f"), "3")
	ok(t, fsys.Rename(at("new"), at("e/g")))
	holds(t, fsys, at("e/g"), "1")
	ok(t, fsys.Mkdir(at("empty"), 0o755))
	is(t, fsys.Rename(at("e"), at("empty")), fs.ErrExist)
	put("file", "4")
	is(t, fsys.Rename(at("file"), at("empty")), fs.ErrExist)
	is(t, fsys.Rename(at("empty"), at("file")), syscall.ENOTDIR)
}

func links(t *testing.T, fsys vfs.FS, dir string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	ok(t, fsys.Mkdir(at("d"), 0o755))
	ok(t, vfs.WriteFile(fsys, at("d/f"), []byte("x"), 0o644))
	ok(t, fsys.Symlink("d", at("link")))
	ok(t, fsys.Symlink("../link/f", at("d/again")))
	ok(t, fsys.Symlink("nowhere", at("broken")))
	holds(t, fsys, at("link/f"), "x")
	holds(t, fsys, at("link/again"), "x")
	is(t, read(fsys, at("broken")), fs.ErrNotExist)
	if target, err := fsys.Readlink(at("link")); err != nil || target != "d" {
		t.Errorf("%q, %v", target, err)
	}
	is(t, second(fsys.Readlink(at("d"))), syscall.EINVAL)
	if info, err := fsys.Lstat(at("link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := fsys.Stat(at("link")); err != nil || !info.IsDir() {
		t.Errorf("%+v, %v", info, err)
	}
	is(t, fsys.Symlink("d", at("link")), fs.ErrExist)
	ok(t, fsys.Symlink("broken", at("next")))
	ok(t, fsys.Rename(at("next"), at("link")))
	if target, err := fsys.Readlink(at("link")); err != nil || target != "broken" {
		t.Errorf("%q, %v", target, err)
	}
	ok(t, fsys.Remove(at("link")))
	ok(t, fsys.Symlink("loop", at("loop")))
	is(t, read(fsys, at("loop")), syscall.ELOOP)
}

func locks(t *testing.T, fsys vfs.FS, dir string) {
	file := filepath.Join(dir, "f")
	ok(t, vfs.WriteFile(fsys, file, nil, 0o644))
	for _, path := range []string{dir, file} {
		open := func() vfs.File {
			f, err := vfs.Open(fsys, path)
			ok(t, err)
			return f
		}
		a, b, c := open(), open(), open()
		ok(t, a.Lock())
		ok(t, a.Lock())
		is(t, b.Lock(), vfs.ErrLocked)
		is(t, b.RLock(), vfs.ErrLocked)
		is(t, second(vfs.Lock(fsys, path, 0)), vfs.ErrLocked)
		ok(t, a.Close())
		ok(t, b.RLock())
		ok(t, c.RLock())
		is(t, b.Lock(), vfs.ErrLocked)
		ok(t, c.Close())
		ok(t, b.Close())
		held, err := vfs.Lock(fsys, path, 0)
		ok(t, err)
		time.AfterFunc(10*time.Millisecond, func() { _ = held.Close() })
		again, err := vfs.Lock(fsys, path, time.Minute)
		ok(t, err)
		ok(t, again.Close())
	}
}

func replaced(t *testing.T, fsys vfs.FS, dir string) {
	path := filepath.Join(dir, "f")
	for _, content := range []string{"", "one", "another, longer"} {
		ok(t, vfs.WriteFile(fsys, path, []byte(content), 0o600))
		holds(t, fsys, path, content)
	}
	if info, err := fsys.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%+v, %v", info, err)
	}
	broken := errors.New("broken")
	err := vfs.Write(fsys, path, 0o644, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("x"), 1<<20))
		return errors.Join(err, broken)
	})
	is(t, err, broken)
	holds(t, fsys, path, "another, longer")
	ok(t, fsys.Mkdir(filepath.Join(dir, "d"), 0o755))
	if err := vfs.WriteFile(fsys, filepath.Join(dir, "d"), nil, 0o644); err == nil {
		t.Error("a folder is replaced by a file")
	}
	if entries, err := fsys.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v is left, %v", entries, err)
	}
}

func failures(t *testing.T, fsys vfs.FS, dir string) {
	file, none := filepath.Join(dir, "f"), filepath.Join(dir, "none")
	ok(t, vfs.WriteFile(fsys, file, []byte("x"), 0o644))
	for _, err := range []error{
		read(fsys, none), read(fsys, filepath.Join(none, "f")), fsys.Remove(none), second(fsys.Stat(none)), second(fsys.Lstat(none)),
		second(fsys.ReadDir(none)), second(fsys.Readlink(none)), fsys.Mkdir(filepath.Join(none, "d"), 0o755), fsys.Chtimes(none, time.Now(), time.Now()),
		fsys.Symlink("f", filepath.Join(none, "l")), vfs.WriteFile(fsys, filepath.Join(none, "f"), nil, 0o644), fsys.Rename(file, filepath.Join(none, "f")),
	} {
		is(t, err, fs.ErrNotExist)
	}
	is(t, read(fsys, filepath.Join(file, "f")), syscall.ENOTDIR)
	is(t, second(fsys.ReadDir(file)), syscall.ENOTDIR)
	is(t, vfs.MkdirAll(fsys, file, 0o755), fs.ErrExist)
	is(t, fsys.Mkdir(file, 0o755), fs.ErrExist)
	is(t, second(fsys.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)), fs.ErrExist)
	is(t, second(vfs.Create(fsys, dir)), syscall.EISDIR)
	is(t, read(fsys, dir), syscall.EISDIR)
	f, err := vfs.Open(fsys, file)
	ok(t, err)
	is(t, second(f.Write([]byte("y"))), syscall.EBADF)
	ok(t, f.Close())
	is(t, second(f.ReadAt(make([]byte, 1), 0)), fs.ErrClosed)
	is(t, f.Close(), fs.ErrClosed)
	if err := vfs.WithoutPath(read(fsys, none)); !errors.Is(err, syscall.ENOENT) || err.Error() != syscall.ENOENT.Error() {
		t.Errorf("%v", err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func holds(t *testing.T, fsys vfs.FS, path, want string) {
	t.Helper()
	if b, err := vfs.ReadFile(fsys, path); err != nil || string(b) != want {
		t.Errorf("%s holds %q (%v), want %q", filepath.Base(path), b, err, want)
	}
}

func read(fsys vfs.FS, path string) error { return second(vfs.ReadFile(fsys, path)) }

func second[T any](_ T, err error) error { return err }
