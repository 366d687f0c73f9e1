package shard

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
	"github.com/gramme-project/gramme/internal/vfs/vfstest"
)

var errCut = errors.New("power cut")

// TestPrepareCrash cuts the power after each operation: what is found is the old
// corpus, none, or the new one, and all of it.
func TestPrepareCrash(t *testing.T) {
	opts := storyOptions(t, 40)
	before, err := fakePreparation(opts).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	prepared := memfs.New()
	if err := vfstest.Copy(prepared, "/out", vfs.OS{}, opts.OutDir); err != nil {
		t.Fatal(err)
	}
	write(t, opts.Inputs[0], story(50))
	opts.OutDir = "/out"
	prepare := func(d vfs.FS) error {
		p := fakePreparation(opts)
		p.fsys = d
		_, err := p.prepare(t.Context())
		return err
	}
	holds := func(d vfs.FS) string {
		dir := filepath.Join(t.TempDir(), "found")
		if err := vfstest.Copy(vfs.OS{}, dir, d, "/out"); err != nil {
			t.Fatal(err)
		}
		return whatIsIn(t, dir, before.Digest())
	}
	found := map[string]int{}
	for cut := 0; ; cut++ {
		d, left := prepared.Crash(memfs.KeepAll), cut
		d.Hook(func(op memfs.Op) error {
			// What stands before a write is among what may be left before the sync.
			if op.Kind != "write" {
				left--
			}
			if left < 0 {
				return errCut
			}
			return nil
		})
		err := prepare(d)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		for try := range 7 {
			keep := memfs.KeepSome(uint64(100*cut + try))
			switch try {
			case 0:
				keep = memfs.KeepNone
			case 1:
				keep = memfs.KeepAll
			}
			after := d.Crash(keep)
			found[holds(after)]++
			if t.Failed() {
				t.Fatalf("after %d operations, try %d", cut, try)
			}
			// Whatever is there, the next preparation succeeds.
			if try != 2 {
				continue
			}
			if err := prepare(after); err != nil {
				t.Fatalf("after %d operations, again: %v", cut, err)
			}
			if holds(after.Crash(memfs.KeepNone)) != "new" {
				t.Fatalf("after %d operations, again: not the new corpus", cut)
			}
		}
		if err == nil {
			break
		}
	}
	if found["old"] < 4 || found["none"] < 4 || found["new"] < 4 {
		t.Errorf("found %v", found)
	}
}

// whatIsIn verifies all of a folder and says which corpus it holds.
func whatIsIn(t *testing.T, dir, old string) string {
	t.Helper()
	m, err := OpenManifest(dir)
	if errors.Is(err, ErrNotPrepared) {
		return "none"
	}
	if err != nil {
		t.Error(err)
	}
	for _, name := range partNames {
		split, _ := m.Split(name)
		load := Loader(t.Context(), Dir(dir), split)
		for i := range split.Shards {
			if _, err := load(i); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := EncodeBundle(dir); err != nil {
		t.Error(err)
	}
	if m.Digest() == old {
		return "old"
	}
	return "new"
}
