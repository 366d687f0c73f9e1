package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// TestDamageOfEachFile does to each file of the newest checkpoint what a disk or a
// hand may do. A reader of checkpoints takes the one before, with the reason; a
// service goes on from that one.
func TestDamageOfEachFile(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir, vfs.OS{})
	f.recover(t)
	for _, step := range []uint64{10, 20} {
		f.save(t, step)
	}
	if err := f.log.Close(); err != nil {
		t.Fatal(err)
	}
	rewrite := func(change func([]byte) []byte) func(string) error {
		return func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, change(b), 0o644))
		}
	}
	ways := map[string]func(path string) error{
		"cut":     rewrite(func(b []byte) []byte { return b[:len(b)-1] }),
		"empty":   rewrite(func([]byte) []byte { return nil }),
		"longer":  rewrite(func(b []byte) []byte { return append(b, '\n') }),
		"flipped": rewrite(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		"missing": os.Remove,
		"folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"link":    func(path string) error { return errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)) },
		"of another step": func(path string) error {
			b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(path)), folderOf(10), filepath.Base(path)))
			return errors.Join(err, os.WriteFile(path, b, 0o644))
		},
	}
	files, err := os.ReadDir(filepath.Join(f.dir.Checkpoints(), folderOf(20)))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for way, change := range ways {
			switch name := file.Name(); {
			case way == "of another step" && (name == configFile || name == specFile || name == "vocab.txt"):
				continue // the same bytes
			case way == "longer" && name == manifestFile:
				// the hash is another all the same
			}
			t.Run(file.Name()+" "+way, func(t *testing.T) {
				at := t.TempDir()
				copyRun(t, dir, at)
				path := filepath.Join(at, "checkpoints", folderOf(20))
				if err := change(filepath.Join(path, file.Name())); err != nil {
					t.Fatal(err)
				}
				c, err := Choose(at, Complete, nil)
				if err != nil || c.Step != 10 || c.Folder != filepath.Join(at, "checkpoints", folderOf(10)) || c.Unproven != nil {
					t.Fatalf("%+v, %v", c, err)
				}
				if d := c.Damaged(); d == nil || d.Step != 20 || !strings.Contains(d.Reason.Error(), file.Name()) {
					t.Errorf("passed over: %v", c.PassedOver)
				}
				// A reader of the model need not read the optimizer's state.
				if ok, err := CheckModel(path, nil); (ok || err == nil) != (file.Name() == optimizerFile && (way == "flipped" || way == "of another step")) {
					t.Errorf("a reader of the model: %v, %v", ok, err)
				}
				settlesAs(t, at, c)
			})
		}
	}
}

// settlesAs starts on a folder and expects the choice to be what it goes on from.
func settlesAs(t *testing.T, dir string, c Choice) {
	t.Helper()
	g := openFolder(t, dir, vfs.OS{})
	defer g.log.Close()
	got, found := g.recover(t)
	if found != (c.Step > 0) || got.step != c.Step {
		t.Errorf("a service goes on from step %d, a reader takes %d", got.step, c.Step)
	}
	for _, p := range c.PassedOver {
		if _, err := os.Lstat(g.store.path(p.Aside)); p.Present && err != nil {
			t.Error(err)
		}
	}
	again, err := Choose(dir, Complete, nil)
	if err != nil || again.Step != c.Step || again.Damaged() != nil {
		t.Errorf("afterwards %+v, %v", again, err)
	}
	if c.Step > 0 {
		if to, err := os.Readlink(g.store.path(latestLink)); err != nil || to != folderOf(c.Step) {
			t.Errorf("latest names %q: %v", to, err)
		}
	}
}

// copyRun copies a run's folder as cp -a does.
func copyRun(t *testing.T, from, to string) {
	t.Helper()
	copyAll(t, from, to)
}

// TestChoose changes a folder with checkpoints of steps 10, 20 and 30.
func TestChoose(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir, vfs.OS{})
	f.recover(t)
	f.store.spec.Checkpoint.Keep = 3
	for _, step := range []uint64{10, 20, 30} {
		f.save(t, step)
	}
	if err := f.log.Close(); err != nil {
		t.Fatal(err)
	}
	cut := func(at string, step uint64) error {
		return os.Truncate(filepath.Join(at, folderOf(step), modelFile), 100)
	}
	for name, c := range map[string]struct {
		change func(at string) error
		step   uint64
		passed string // the last words of each reason, in their order
	}{
		"nothing":                 {func(string) error { return nil }, 30, ""},
		"two are damaged":         {func(at string) error { return errors.Join(cut(at, 30), cut(at, 20)) }, 10, "damaged damaged"},
		"all are damaged":         {func(at string) error { return errors.Join(cut(at, 30), cut(at, 20), cut(at, 10)) }, 0, "damaged damaged damaged"},
		"an older one is damaged": {func(at string) error { return cut(at, 10) }, 30, ""},
		"the newest is missing":   {func(at string) error { return os.RemoveAll(filepath.Join(at, folderOf(30))) }, 20, "missing"},
		"the newest is missing, the next damaged": {func(at string) error {
			return errors.Join(os.RemoveAll(filepath.Join(at, folderOf(30))), cut(at, 20))
		}, 10, "missing damaged"},
		"none is there": {os.RemoveAll, 0, "missing"},
		"one was set aside": {func(at string) error {
			return os.Rename(filepath.Join(at, folderOf(30)), filepath.Join(at, setAsidePrefix+folderOf(30)))
		}, 20, "aside"},
		"a copy under another name": {func(at string) error {
			return os.CopyFS(filepath.Join(at, "step-30-copy"), os.DirFS(filepath.Join(at, folderOf(30))))
		}, 30, ""},
		"a copy under the name of a step": {func(at string) error {
			return os.CopyFS(filepath.Join(at, folderOf(40)), os.DirFS(filepath.Join(at, folderOf(30))))
		}, 30, "damaged"},
		"latest is a dangling link": {func(at string) error { return relatest(at, func(p string) error { return os.Symlink("step-9", p) }) }, 30, ""},
		"latest is a file": {func(at string) error {
			return relatest(at, func(p string) error { return os.WriteFile(p, nil, 0o600) })
		}, 30, ""},
		"latest is a folder": {func(at string) error {
			return relatest(at, func(p string) error { return os.CopyFS(p, os.DirFS(filepath.Join(at, folderOf(30)))) })
		}, 30, ""},
		"latest is missing": {func(at string) error { return relatest(at, func(string) error { return nil }) }, 30, ""},
		"it is staged, and in the ledger": {func(at string) error {
			return os.Rename(filepath.Join(at, folderOf(30)), filepath.Join(at, stagedPrefix+folderOf(30)))
		}, 30, ""},
		"it is staged, and was never whole": {func(at string) error {
			return os.CopyFS(filepath.Join(at, stagedPrefix+folderOf(40)), os.DirFS(filepath.Join(at, folderOf(30))))
		}, 30, ""},
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			copyRun(t, dir, run)
			if err := c.change(filepath.Join(run, "checkpoints")); err != nil {
				t.Fatal(err)
			}
			got, err := Choose(run, Complete, nil)
			if err != nil || got.Step != c.step {
				t.Fatalf("step %d, want %d: %v", got.Step, c.step, err)
			}
			var words []string
			for _, p := range got.PassedOver {
				switch text := p.String(); {
				case p.Present:
					words = append(words, "damaged")
				case strings.Contains(text, "set aside as damaged-step-"):
					words = append(words, "aside")
				case strings.HasSuffix(text, "it is missing"):
					words = append(words, "missing")
				}
			}
			if strings.Join(words, " ") != c.passed {
				t.Errorf("passed over %v, want %s", got.PassedOver, c.passed)
			}
			quick, err := Choose(run, Sizes, nil)
			if err != nil || quick.Step != c.step {
				t.Errorf("by its sizes: step %d, %v", quick.Step, err)
			}
			settlesAs(t, run, got)
		})
	}
}

func relatest(at string, put func(path string) error) error {
	path := filepath.Join(at, latestLink)
	return errors.Join(os.Remove(path), put(path))
}

// TestNoLedger has nothing to compare manifests with, and says so.
func TestNoLedger(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir, vfs.OS{})
	f.recover(t)
	f.save(t, 10)
	if err := errors.Join(f.log.Close(), os.RemoveAll(f.dir.Ledger())); err != nil {
		t.Fatal(err)
	}
	c, err := Choose(dir, Complete, nil)
	if err != nil || c.Step != 10 || c.Unproven == nil {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestModelOfAFolder reads models of folders that lie elsewhere.
func TestModelOfAFolder(t *testing.T) {
	f := openFolder(t, t.TempDir(), vfs.OS{})
	f.recover(t)
	c := f.save(t, 10)
	away := filepath.Join(t.TempDir(), "mine")
	copyAll(t, c.dir, away)
	for _, folder := range []string{away, c.dir, filepath.Join(f.dir.Checkpoints(), latestLink)} {
		if ok, err := CheckModel(folder, nil); !ok || err != nil {
			t.Errorf("%s: %v, %v", folder, ok, err)
		}
	}
	if err := os.WriteFile(filepath.Join(away, configFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	damage := (*DamageError)(nil)
	if ok, err := CheckModel(away, nil); ok || !errors.As(err, &damage) {
		t.Errorf("a changed file: %v, %v", ok, err)
	}
	if err := os.Remove(filepath.Join(away, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if ok, err := CheckModel(away, nil); ok || err != nil {
		t.Errorf("without a manifest: %v, %v", ok, err)
	}
	if err := os.WriteFile(filepath.Join(away, manifestFile), []byte(`{"name": "mine"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, err := CheckModel(away, nil); ok || err != nil {
		t.Errorf("with a manifest of something else: %v, %v", ok, err)
	}
	// In a run's folder a manifest belongs to each.
	if err := os.Remove(filepath.Join(c.dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if ok, err := CheckModel(c.dir, nil); ok || !errors.As(err, &damage) {
		t.Errorf("without a manifest in its run: %v, %v", ok, err)
	}
}

// TestSlowCheckTells has a check that takes long say what it does, once.
func TestSlowCheckTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		tell := func(text string) { told = append(told, text) }
		for _, took := range []time.Duration{time.Second, time.Minute} {
			if err := reporting(tell, "/runs/x/step", func() error { time.Sleep(took); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != 1 || !strings.Contains(told[0], "/runs/x/step") {
			t.Errorf("told %q", told)
		}
	})
}
