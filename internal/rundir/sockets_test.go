package rundir

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// works listens at the folder's longest path, as etcd does.
func works(t *testing.T, s *Sockets) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(s.Path, longestName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := len(s.Path) + 1 + len(longestName); n > longestSocket {
		t.Errorf("%s: %d bytes", s.Path, n)
	}
}

func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSocketsLieInTheRun(t *testing.T) {
	d := Dir(short(t))
	s, err := d.OpenSockets()
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(s.Path) != d.Cluster() {
		t.Errorf("they lie in %s", s.Path)
	}
	works(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

// TestSocketsElsewhere has runs whose folder gives sockets no path, and folders
// for temporary files that are too long, missing or not writable.
func TestSocketsElsewhere(t *testing.T) {
	root := short(t)
	long := filepath.Join(root, strings.Repeat("x", 120))
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ run, temp string }{
		"a long run":                        {long + "/run", root},
		"a run with blanks and quotes":      {root + `/a "run" — ü`, root},
		"a long folder for temporary files": {long + "/run", long},
		"a missing one":                     {long + "/run", root + "/gone"},
		"one that is a file":                {long + "/run", file},
		"one that is no path":               {long + "/run", "tmp"},
	} {
		t.Setenv("TMPDIR", c.temp)
		d := Dir(c.run)
		if err := d.Make(); err != nil {
			t.Fatal(err)
		}
		s, err := d.OpenSockets()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		works(t, s)
		// A process that is killed leaves it, and the next has another TMPDIR.
		t.Setenv("TMPDIR", root+"/other")
		if err := d.ClearSockets(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(s.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %s is left: %v", name, s.Path, err)
		}
	}
}

// TestSocketsByNumber is where nothing but the run's folder can be written, and its
// path is long.
func TestSocketsByNumber(t *testing.T) {
	d := Dir(filepath.Join(short(t), strings.Repeat("x", 120)))
	if err := os.MkdirAll(d.Cluster(), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := d.socketsByNumber()
	if err != nil {
		t.Fatal(err)
	}
	works(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSocketsOfAnother finds a folder of its own name that it did not make.
func TestSocketsOfAnother(t *testing.T) {
	dir := short(t)
	if err := makeSockets(filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	if err := makeSockets(filepath.Join(dir, "s")); !errors.Is(err, os.ErrExist) {
		t.Errorf("it takes the folder of another: %v", err)
	}
}

// TestTrySocketsByNumber has folders of long paths only.
func TestTrySocketsByNumber(t *testing.T) {
	d := Dir(filepath.Join(short(t), strings.Repeat("x", 120), "run"))
	if err := os.Mkdir(filepath.Dir(string(d)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tryPlace(filepath.Dir(string(d)), "name"); err == nil {
		t.Error("a socket of a long path works")
	}
	f, err := os.Open(filepath.Dir(string(d)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tryPlace(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), ""); err != nil {
		t.Error(err)
	}
}

func TestTrySockets(t *testing.T) {
	root := short(t)
	t.Setenv("TMPDIR", root)
	place, refused := Dir(root + "/none").TrySockets()
	if place != root || len(refused) > 0 {
		t.Errorf("they would lie in %q: %q", place, refused)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v: %v", left, err)
	}
}
