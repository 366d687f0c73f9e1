package cachedir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"/x", "/h", "/x/gramme"},
		{"", "/h", "/h/.cache/gramme"},
		{"relative", "/h", "/h/.cache/gramme"},
		{"/x", "", "/x/gramme"},
		{"", "", ""},
		{"", "/", ""},
		{"", "//", ""},
		{"", "home", ""},
	} {
		t.Setenv("XDG_CACHE_HOME", c.xdg)
		t.Setenv("HOME", c.home)
		got, err := Find()
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.Is(err, ErrNone) {
			t.Errorf("XDG_CACHE_HOME=%q HOME=%q: %q, %v; want %q", c.xdg, c.home, got, err, c.want)
		}
	}
}

func TestMakeOrTemporary(t *testing.T) {
	temp := t.TempDir()
	file := filepath.Join(temp, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("TMPDIR", temp)
	for _, home := range []string{"", "/", file} {
		t.Setenv("HOME", home)
		if dir, err := Make("a"); !errors.Is(err, ErrNone) {
			t.Errorf("HOME=%q: made %q, %v", home, dir, err)
		}
		dir, err := MakeOrTemporary("a", "b")
		if err != nil {
			t.Fatal(err)
		}
		if in, err := filepath.Rel(temp, dir); err != nil || !filepath.IsLocal(in) {
			t.Errorf("HOME=%q: it lies in %s", home, dir)
		}
	}
	t.Setenv("HOME", temp)
	if dir, err := MakeOrTemporary("a"); err != nil || dir != filepath.Join(temp, ".cache/gramme/a") {
		t.Errorf("with a HOME it lies in %q, %v", dir, err)
	}
}

// TestPrivate refuses a folder that others can write to, or a link.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(dir, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"open", "link"} {
		if private(filepath.Join(dir, name)) == nil {
			t.Errorf("%s is taken for private", name)
		}
	}
}
