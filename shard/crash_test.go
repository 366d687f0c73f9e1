package shard

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// crashDisk knows the states that a power cut after so many operations may leave: of a
// file, the synced bytes; of the changes to the folder, all up to the last syncDir and
// any of those after it.
type crashDisk struct {
	quickDisk
	out     string
	left    int               // operations until the cut
	synced  map[string]string // content by path
	durable map[string]string // content by name in out
	pending []change
}

// change is a rename to a name in out, or its removal.
type change struct {
	name, content string
	remove        bool
}

var errCut = errors.New("power cut")

func (d *crashDisk) tick() error {
	if d.left--; d.left < 0 {
		return errCut
	}
	return nil
}

type crashFile struct {
	file
	disk    *crashDisk
	path    string
	content bytes.Buffer
}

func (d *crashDisk) create(path string) (file, error) {
	f, err := d.quickDisk.create(path)
	delete(d.synced, path)
	return &crashFile{file: f, disk: d, path: path}, err
}

func (f *crashFile) Write(b []byte) (int, error) {
	f.content.Write(b)
	return f.file.Write(b)
}

func (f *crashFile) Sync() error {
	if err := f.disk.tick(); err != nil {
		return err
	}
	f.disk.synced[f.path] = f.content.String()
	return nil
}

func (d *crashDisk) rename(from, to string) error {
	if err := d.tick(); err != nil {
		return err
	}
	d.pending = append(d.pending, change{name: filepath.Base(to), content: d.synced[from]})
	return d.quickDisk.rename(from, to)
}

func (d *crashDisk) remove(path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	d.pending = append(d.pending, change{name: filepath.Base(path), remove: true})
	return d.quickDisk.remove(path)
}

func (d *crashDisk) syncDir(path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	if path == d.out {
		apply(d.durable, d.pending)
		d.pending = nil
	}
	return nil
}

func apply(files map[string]string, changes []change) {
	for _, c := range changes {
		if c.remove {
			delete(files, c.name)
		} else {
			files[c.name] = c.content
		}
	}
}

// TestPrepareCrash cuts the power after each operation: what is found is the old
// corpus, none, or the new one, and all of it.
func TestPrepareCrash(t *testing.T) {
	opts := storyOptions(t, 40)
	before, err := fakePreparation(opts).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := contents(t, opts.OutDir)
	write(t, opts.Inputs[0], story(50))
	r := rand.New(rand.NewPCG(1, 1))
	found := map[string]int{}
	for cut := 0; ; cut++ {
		o := opts
		o.OutDir = filepath.Join(t.TempDir(), "out")
		writeAll(t, o.OutDir, old)
		d := &crashDisk{out: o.OutDir, left: cut, synced: map[string]string{}, durable: maps.Clone(old)}
		p := fakePreparation(o)
		p.disk = d
		_, err := p.prepare(t.Context())
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		for try := range 4 {
			// None of the pending changes, all, or any.
			files := maps.Clone(d.durable)
			for _, c := range d.pending {
				if try == 1 || try > 1 && r.IntN(2) == 0 {
					apply(files, []change{c})
				}
			}
			dir := filepath.Join(t.TempDir(), "found")
			writeAll(t, dir, files)
			found[whatIsIn(t, dir, before.Digest())]++
			if t.Failed() {
				t.Fatalf("after %d operations, try %d", cut, try)
			}
		}
		// Whatever is there, the next preparation succeeds.
		if _, err := fakePreparation(o).prepare(t.Context()); err != nil {
			t.Fatalf("after %d operations, again: %v", cut, err)
		}
		if whatIsIn(t, o.OutDir, before.Digest()) != "new" {
			t.Fatalf("after %d operations, again: not the new corpus", cut)
		}
		if err == nil {
			break
		}
	}
	if found["old"] < 4 || found["none"] < 4 || found["new"] < 4 {
		t.Errorf("found %v", found)
	}
}

func writeAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		write(t, filepath.Join(dir, name), []byte(content))
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
