package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs"
)

// TestMain keeps the keys of tests away from those of this user.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keys-")
	if err == nil {
		err = os.Setenv("XDG_DATA_HOME", dir)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// goOn opens the ledger of a run, as a service does, and returns its handovers.
func goOn(t *testing.T, dir string, held ...ledger.NamedHead) []ledger.HandedOver {
	t.Helper()
	l, _, err := openLedger(vfs.OS{}, rundir.Dir(dir), smallSpec(t), "gramme test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ledger.Entry{Note: &ledger.Note{Kind: ledger.NoteRemark, Text: "it goes on"}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Audit(dir, held...)
	if err != nil {
		t.Fatal(err)
	}
	return r.Account.Handovers
}

// begin makes a run with a ledger in a new folder, and returns its head.
func beginAt(t *testing.T, dir string) ledger.NamedHead {
	t.Helper()
	spec := smallSpec(t)
	if err := errors.Join(rundir.Dir(dir).Make(), spec.Write(rundir.Dir(dir).Spec())); err != nil {
		t.Fatal(err)
	}
	if h := goOn(t, dir); len(h) > 0 {
		t.Fatalf("a new ledger is handed over: %+v", h)
	}
	head, err := os.ReadFile(filepath.Join(rundir.Dir(dir).Ledger(), "head"))
	if err != nil {
		t.Fatal(err)
	}
	return ledger.NamedHead{Name: "held", Note: head}
}

func wantHandover(t *testing.T, all []ledger.HandedOver, signed bool, why string) {
	t.Helper()
	if len(all) != 1 || all[0].Signed != signed || !strings.Contains(all[0].Reason, why) {
		t.Errorf("handovers %+v, want one, signed %v, with %q", all, signed, why)
	}
}

// privateKeys are the files below a folder that hold a private key.
func privateKeys(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "PRIVATE+KEY") {
			found = append(found, path)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestKeyStaysWhereTheRunIs(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	root := t.TempDir()
	a, b, c := filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "c")
	held := beginAt(t, a)
	if keys := privateKeys(t, a); len(keys) > 0 {
		t.Errorf("the run's folder holds %v", keys)
	}
	if h := goOn(t, a, held); len(h) > 0 {
		t.Errorf("the same folder: %+v", h)
	}

	copyAll(t, a, b)
	wantHandover(t, goOn(t, b, held), true, "holds the key")
	if h := goOn(t, a, held); len(h) > 0 {
		t.Errorf("the folder that was copied: %+v", h)
	}
	wantHandover(t, goOn(t, b, held), true, a) // once
	if err := os.Rename(b, c); err != nil {
		t.Fatal(err)
	}
	wantHandover(t, goOn(t, c, held), true, a) // a copy has a key, too

	if err := os.Rename(a, b); err != nil {
		t.Fatal(err)
	}
	if h := goOn(t, b, held); len(h) > 0 {
		t.Errorf("a folder that was moved: %+v", h)
	}
	copyAll(t, b, a) // to another file system, say
	if err := os.RemoveAll(b); err != nil {
		t.Fatal(err)
	}
	if h := goOn(t, a, held); len(h) > 0 {
		t.Errorf("a folder that was copied and removed: %+v", h)
	}
}

// TestKeyStaysWhereTheUserIs copies a run to another user, or another machine.
func TestKeyStaysWhereTheUserIs(t *testing.T) {
	home, away := t.TempDir(), t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	root := t.TempDir()
	a, b, c := filepath.Join(root, "a"), filepath.Join(root, "b"), filepath.Join(root, "c")
	held := beginAt(t, a)
	copyAll(t, a, b)
	copyAll(t, a, c)
	t.Setenv("XDG_DATA_HOME", away)
	wantHandover(t, goOn(t, b, held), false, "not among the keys of this user")
	r, err := Audit(b, held)
	if err != nil || !strings.Contains(r.String(), "key not available: continued by a new key") {
		t.Errorf("the audit says %v\n%v", err, r)
	}

	// On purpose: the key is put into the copy.
	keys := privateKeys(t, home)
	if len(keys) != 1 {
		t.Fatal(keys)
	}
	key, err := os.ReadFile(keys[0])
	if err := errors.Join(err, os.Mkdir(rundir.Dir(c).Keys(), 0o700), os.WriteFile(folderKey(rundir.Dir(c)), key, 0o600)); err != nil {
		t.Fatal(err)
	}
	if h := goOn(t, c, held); len(h) > 0 || len(privateKeys(t, c)) > 0 {
		t.Errorf("a run that was moved on purpose: %+v, %v", h, privateKeys(t, c))
	}
}

// TestNoPlaceForKeys has no folder outside of the run's.
func TestNoPlaceForKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{"", "/", "relative", file} {
		t.Setenv("XDG_DATA_HOME", "")
		t.Setenv("HOME", home)
		a := filepath.Join(t.TempDir(), "a")
		held := beginAt(t, a)
		if h := goOn(t, a, held); len(h) > 0 || len(privateKeys(t, a)) != 1 {
			t.Errorf("HOME %q: %+v, %v", home, h, privateKeys(t, a))
		}
		if s, err := FindSigningKey(a); err != nil || s.InFolder == "" {
			t.Errorf("HOME %q: %+v, %v", home, s, err)
		}
		// A home that comes later takes the key in, as it does that of a run of an
		// earlier version.
		t.Setenv("XDG_DATA_HOME", t.TempDir())
		if h := goOn(t, a, held); len(h) > 0 || len(privateKeys(t, a)) > 0 {
			t.Errorf("HOME %q, then one: %+v, %v", home, h, privateKeys(t, a))
		}
		if h := goOn(t, a, held); len(h) > 0 {
			t.Errorf("HOME %q, then one: %+v", home, h)
		}
	}
}

// TestKeyThatACopyTookAlong copies a run of an earlier version, key and all.
func TestKeyThatACopyTookAlong(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "")
	root := t.TempDir()
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	held := beginAt(t, a)
	copyAll(t, a, b)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	if h := goOn(t, a, held); len(h) > 0 {
		t.Errorf("%+v", h)
	}
	wantHandover(t, goOn(t, b, held), true, a)
	if keys := privateKeys(t, b); len(keys) > 0 {
		t.Errorf("the copy keeps %v", keys)
	}
}
