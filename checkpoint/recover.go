package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/checkpoint/ledger"
)

// settle finishes or removes what a crash left, sets aside what does not verify,
// and returns the newest checkpoint that does; found is false where there is none.
// Where a checkpoint shows that the ledger has lost entries, the error is a
// *ledger.Fault, and everything stays as it is: who went on would hide the loss.
func (s *store) settle() (newest saved, found bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recover checkpoints: %w", err)
		}
	}()
	if err := s.disk.mkdirAll(s.dir); err != nil {
		return saved{}, false, err
	}
	steps, err := stepsIn(s.dir)
	if err != nil {
		return saved{}, false, err
	}
	if err := s.remembers(steps); err != nil {
		return saved{}, false, err
	}
	if err := s.tidy(); err != nil {
		return saved{}, false, err
	}
	if steps, err = stepsIn(s.dir); err != nil { // with what was staged
		return saved{}, false, err
	}
	for _, step := range slices.Backward(steps) {
		name := folderOf(step)
		c, err := s.verify(name)
		damage := (*Damage)(nil)
		if errors.As(err, &damage) {
			if err := s.quarantine(step, damage); err != nil {
				return saved{}, false, err
			}
			continue
		}
		if err != nil {
			return saved{}, false, err
		}
		if s.told, err = metaOf(s.path(name)); err != nil {
			return saved{}, false, err
		}
		newest, found = c, true
		break
	}
	if err := s.miss(newest); err != nil {
		return saved{}, false, err
	}
	if !found {
		return saved{}, false, s.disk.removeAll(s.path(latestLink))
	}
	return newest, true, s.link(folderOf(newest.step))
}

// remembers checks that the ledger still holds what it held when checkpoints were
// stored, and the visible ones themselves.
func (s *store) remembers(steps []uint64) error {
	names, err := setAside(s.dir)
	if err != nil {
		return err
	}
	for _, step := range steps {
		names = append(names, folderOf(step))
	}
	for _, name := range names {
		h, err := headOf(s.dir, name)
		if err != nil {
			continue // damage, of which verify tells
		}
		head, err := s.log.Extends(h)
		if errors.Is(err, ledger.ErrUnsigned) {
			continue // damage too, or of another run
		}
		if err != nil {
			return err
		}
		_, visible := stepOf(name)
		if visible && !slices.ContainsFunc(s.log.Checkpoints(), func(c ledger.Saved) bool { return c.Folder == name && c.Entry >= head.Size }) {
			return &ledger.Fault{File: h.Name, Entry: -1, Reason: "this checkpoint should follow in the ledger, and does not: entries are missing"}
		}
	}
	return nil
}

// tidy ends what was under way: a staged folder that is in the ledger becomes
// visible, everything else goes.
func (s *store) tidy() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := s.path(e.Name())
		name, staged := strings.CutPrefix(e.Name(), stagedPrefix)
		switch {
		case staged && e.IsDir() && s.counts(path):
			err = s.publish(path, name)
		case staged || strings.HasPrefix(e.Name(), droppedPrefix):
			err = s.disk.removeAll(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// counts tells whether a staged folder is whole and in the ledger.
func (s *store) counts(path string) bool {
	m, hash, err := readManifest(path)
	return err == nil && s.log.Has(keyOf(hash)) && verifyFiles(path, m) == nil
}

// verify checks a visible checkpoint. What is wrong with it is a *Damage.
func (s *store) verify(name string) (saved, error) {
	m, hash, err := readManifest(s.path(name))
	if err != nil {
		return saved{}, err
	}
	damage := func(format string, args ...any) error {
		return &Damage{name, manifestFile, fmt.Sprintf(format, args...)}
	}
	switch {
	case folderOf(m.Step) != name:
		return saved{}, damage("it is of step %d", m.Step)
	case m.Run != s.spec.Run || m.SpecHash != s.spec.Hash():
		return saved{}, damage("it is of another run or spec")
	case !s.log.Has(keyOf(hash)):
		return saved{}, damage("the ledger does not hold it")
	}
	if err := verifyFiles(s.path(name), m); err != nil {
		return saved{}, err
	}
	return saved{m.Step, s.path(name), hash, m.Ledger, m.Numerics}, nil
}

// asideKey is the ledger's key of the note that a checkpoint is not there any more.
func asideKey(manifest string) string { return "aside/" + manifest }

// quarantine renames a checkpoint that does not verify and says so in the ledger.
func (s *store) quarantine(step uint64, d *Damage) error {
	name := folderOf(step)
	aside := setAsidePrefix + name
	for n := 2; ; n++ {
		if _, err := os.Lstat(s.path(aside)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s%s-%d", setAsidePrefix, name, n)
	}
	if err := s.tellAside(step, fmt.Sprintf("%s; set aside as %s", d, aside)); err != nil {
		return err
	}
	if err := s.disk.rename(s.path(name), s.path(aside)); err != nil {
		return err
	}
	return s.disk.syncDir(s.dir)
}

// miss says in the ledger that its newest checkpoint is not there, where the run
// goes on from an older one and no note tells why.
func (s *store) miss(newest saved) error {
	all := s.log.Checkpoints()
	if len(all) == 0 {
		return nil
	}
	c := all[len(all)-1]
	if c.Step <= newest.step || s.log.Has(asideKey(c.Manifest)) {
		return nil
	}
	return s.tellAside(c.Step, fmt.Sprintf("checkpoint %s: it is missing", c.Folder))
}

// tellAside writes into the ledger that the checkpoint of a step does not count any
// more.
func (s *store) tellAside(step uint64, text string) error {
	e := ledger.Entry{Note: &ledger.Note{Kind: ledger.NoteQuarantine, Step: step, Text: text}}
	for _, c := range s.log.Checkpoints() {
		if key := asideKey(c.Manifest); c.Step == step && !s.log.Has(key) {
			e.Key = key // the newest such
		}
	}
	_, err := s.log.Append(e)
	return err
}
