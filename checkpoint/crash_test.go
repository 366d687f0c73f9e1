package checkpoint

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/assembly"
)

// crashDisk does what a disk does and knows what a loss of power would leave: of a
// file what was synced; of the names in a folder those of its last sync and any of
// the changes since, each whole.
type crashDisk struct {
	system
	root *node // of path
	path string
	left int // operations until the power is gone
}

// node is a file, a link or a folder.
type node struct {
	content, synced []byte
	link            string
	names           map[string]*node // of a folder, as it is
	durable         map[string]*node
	pending         []change
}

// change is a name in a folder that came, went (node nil) or took the place of
// another.
type change struct {
	from, name string
	node       *node
}

func newFolder() *node { return &node{names: map[string]*node{}, durable: map[string]*node{}} }

var errPower = errors.New("no power")

func (d *crashDisk) tick() error {
	if d.left--; d.left < 0 {
		return errPower
	}
	return nil
}

// at returns the folder that holds a path, and the name in it.
func (d *crashDisk) at(path string) (*node, string) {
	if path == d.path {
		return nil, ""
	}
	dir := d.folder(filepath.Dir(path))
	return dir, filepath.Base(path)
}

func (d *crashDisk) folder(path string) *node {
	if path == d.path {
		return d.root
	}
	parent, name := d.at(path)
	return parent.names[name]
}

func (n *node) put(name string, child *node) {
	n.names[name] = child
	n.pending = append(n.pending, change{name: name, node: child})
}

func (d *crashDisk) mkdirAll(path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	if path != d.path {
		if parent, name := d.at(path); parent.names[name] == nil {
			parent.put(name, newFolder())
		}
	}
	return d.system.mkdirAll(path)
}

type crashFile struct {
	file
	disk *crashDisk
	node *node
}

func (d *crashDisk) create(path string) (file, error) {
	if err := d.tick(); err != nil {
		return nil, err
	}
	parent, name := d.at(path)
	n := &node{}
	parent.put(name, n)
	f, err := d.system.create(path)
	return &crashFile{f, d, n}, err
}

func (f *crashFile) Write(b []byte) (int, error) {
	f.node.content = append(f.node.content, b...)
	return f.file.Write(b)
}

func (f *crashFile) Sync() error {
	if err := f.disk.tick(); err != nil {
		return err
	}
	f.node.synced = bytes.Clone(f.node.content)
	return nil
}

func (d *crashDisk) rename(from, to string) error {
	if err := d.tick(); err != nil {
		return err
	}
	parent, old := d.at(from)
	_, name := d.at(to)
	parent.names[name] = parent.names[old]
	delete(parent.names, old)
	parent.pending = append(parent.pending, change{old, name, parent.names[name]})
	return d.system.rename(from, to)
}

func (d *crashDisk) symlink(target, path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	parent, name := d.at(path)
	parent.put(name, &node{link: target})
	return d.system.symlink(target, path)
}

func (d *crashDisk) removeAll(path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	parent, name := d.at(path)
	if n := parent.names[name]; n != nil {
		// A folder goes file by file.
		for child := range n.names {
			delete(n.names, child)
			n.pending = append(n.pending, change{name: child})
		}
		delete(parent.names, name)
		parent.pending = append(parent.pending, change{name: name})
	}
	return d.system.removeAll(path)
}

func (d *crashDisk) syncDir(path string) error {
	if err := d.tick(); err != nil {
		return err
	}
	n := d.folder(path)
	n.durable, n.pending = maps.Clone(n.names), nil
	return nil
}

// leave writes what is left after a loss of power: r decides what else of the
// unsynced is.
func (n *node) leave(path string, r *rand.Rand) error {
	names := maps.Clone(n.durable)
	for _, c := range n.pending {
		if r.IntN(2) == 0 {
			continue
		}
		if c.from != "" && names[c.from] == c.node {
			delete(names, c.from)
			names[c.name] = c.node
		} else if c.from == "" && c.node != nil {
			names[c.name] = c.node
		} else if c.node == nil {
			delete(names, c.name)
		}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child, at := names[name], filepath.Join(path, name)
		var err error
		switch {
		case child.names != nil:
			err = child.leave(at, r)
		case child.link != "":
			err = os.Symlink(child.link, at)
		default:
			content := child.synced
			if r.IntN(2) == 0 { // some of it may have got there
				content = child.content[:r.IntN(len(child.content)+1)]
				if len(content) < len(child.synced) {
					content = child.synced
				}
			}
			err = os.WriteFile(at, content, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestPowerLoss cuts the power after each operation of a series of saves. What is
// found afterwards is the checkpoint that was newest before or the one that was
// being written, whole; the audit agrees; and the run can go on.
func TestPowerLoss(t *testing.T) {
	steps := []uint64{10, 20, 30} // more than are kept
	for cut := 0; ; cut++ {
		done := powerLoss(t, steps, cut, 2*uint64(cut))
		powerLoss(t, steps, cut, 2*uint64(cut)+1)
		if done {
			break
		}
	}
}

// powerLoss reports whether all saves came to their end.
func powerLoss(t *testing.T, steps []uint64, cut int, seed uint64) bool {
	t.Helper()
	dir := t.TempDir()
	d := &crashDisk{root: newFolder(), left: cut}
	f := openFolder(t, dir, d)
	d.path = f.dir.Checkpoints()
	f.store.spec.Checkpoint.Keep = 1
	acknowledged := uint64(0)
	var err error
	if _, _, err = f.store.settle(); err == nil {
		for _, step := range steps {
			state, digest := stateAt(t, f.spec, step)
			if _, err = f.store.save(state, assembly.About{Digest: digest}); err != nil {
				break
			}
			acknowledged = step
			if err = f.store.prune(); err != nil {
				break
			}
		}
	}
	if err != nil && !errors.Is(err, errPower) {
		t.Fatalf("cut %d: %v", cut, err)
	}
	f.log.Close()
	if e := os.RemoveAll(d.path); e != nil {
		t.Fatal(e)
	}
	if e := d.root.leave(d.path, rand.New(rand.NewPCG(seed, 1))); e != nil {
		t.Fatal(e)
	}

	reader, e := Choose(dir, Complete, nil)
	if e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	g := openFolder(t, dir, system{})
	c, found := g.settle(t)
	if c.step != reader.Step || len(reader.PassedOver) > 0 {
		t.Fatalf("cut %d: a service goes on from step %d, a reader takes %+v", cut, c.step, reader)
	}
	next := acknowledged + 10
	switch {
	case !found && acknowledged > 0:
		t.Fatalf("cut %d: no checkpoint, %d was acknowledged", cut, acknowledged)
	case found && c.step != acknowledged && c.step != next:
		t.Fatalf("cut %d: checkpoint of step %d, %d was acknowledged", cut, c.step, acknowledged)
	case found:
		compare(t, g, c)
	}
	report, e := Audit(dir)
	if e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	if len(report.SetAside) > 0 || len(report.Account.Notes) > 0 {
		t.Fatalf("cut %d: %v set aside, notes %v", cut, report.SetAside, report.Account.Notes)
	}
	if c := g.save(t, 90); c.step != 90 {
		t.Fatalf("cut %d: saved %d", cut, c.step)
	}
	if _, e := Audit(dir); e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	return err == nil
}

// compare reads a checkpoint back.
func compare(t *testing.T, f *folder, c saved) {
	t.Helper()
	want, digest := stateAt(t, f.spec, c.step)
	s := newSnapshot(f.store.layout)
	if err := s.open(c); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.info.Digest != digest || s.info.Step != c.step {
		t.Errorf("step %d with digest %s, want %d with %s", s.info.Step, s.info.Digest, c.step, digest)
	}
	for part, flat := range map[string][]float32{"weights": want.Weights, "moment1": want.Moment1, "moment2": want.Moment2} {
		got := make([]float32, len(flat))
		p := partOf[part]
		if err := s.files[p.file].read(f.store.layout, p.prefix, 0, got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, flat) {
			t.Errorf("%s of step %d are not what was stored", part, c.step)
		}
	}
}
