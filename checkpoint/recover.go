package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/vfs"
)

// recoverFromCrash completes or removes unfinished checkpoints, sets aside those that do not
// verify, and returns the newest that does; found is false if there is none. If a
// checkpoint shows that the ledger has lost entries, the error is a *ledger.Fault, and
// nothing changes: to continue would hide the loss.
func (s *store) recoverFromCrash() (newest saved, found bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recover checkpoints: %w", err)
		}
	}()
	if err := vfs.MkdirAll(s.disk, s.dir, 0o755); err != nil {
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
	if steps, err = stepsIn(s.dir); err != nil { // including those that were staged
		return saved{}, false, err
	}
	var all []candidate
	for _, step := range steps {
		all = append(all, candidate{step: step, path: s.path(folderOf(step))})
	}
	taken, found, passed, err := s.inspector().newest(s.dir, all)
	if err != nil {
		return saved{}, false, err
	}
	for _, p := range passed {
		if err := s.passOver(p); err != nil {
			return saved{}, false, err
		}
	}
	if !found {
		return saved{}, false, vfs.RemoveAll(s.disk, s.path(latestLink))
	}
	if s.told, err = metaOf(taken.dir); err != nil {
		return saved{}, false, err
	}
	return taken.saved, true, s.link(folderOf(taken.step))
}

// inspector verifies checkpoints of this run against the present ledger.
func (s *store) inspector() inspector {
	return inspector{run: s.spec.Run, spec: s.spec.Hash(), entries: s.log.Checkpoints(), depth: Complete}
}

// remembers checks that the ledger still holds the entries that it held when checkpoints
// were stored, and the entries of the visible checkpoints.
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
			continue // damage, which verify reports
		}
		head, err := s.log.Extends(h)
		if errors.Is(err, ledger.ErrUnsigned) {
			continue // damaged, too, or of another run
		}
		if err != nil {
			return err
		}
		_, visible := stepOf(name)
		if visible && !s.named(name, head) {
			return &ledger.Fault{File: h.Name, Entry: -1, Reason: "this checkpoint should follow in the ledger, and does not: entries are missing"}
		}
	}
	return nil
}

// named reports whether the ledger names a checkpoint after the head in that checkpoint. A
// copy of such a checkpoint under another name shows no loss.
func (s *store) named(name string, head ledger.Head) bool {
	if slices.ContainsFunc(s.log.Checkpoints(), func(c ledger.Saved) bool { return c.Folder == name && c.Entry >= head.Size }) {
		return true
	}
	_, hash, err := readManifest(s.path(name))
	return err == nil && s.log.Has(keyOf(hash))
}

// tidy completes interrupted work: it publishes a staged folder that is in the ledger, and
// removes everything else.
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
			err = vfs.RemoveAll(s.disk, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// counts reports whether a staged folder is complete and in the ledger.
func (s *store) counts(path string) bool {
	m, hash, err := readManifest(path)
	return err == nil && s.log.Has(keyOf(hash)) && verifyFiles(path, m, Complete) == nil
}

// asideKey is the ledger's key of the note that a checkpoint was set aside.
func asideKey(manifest string) string { return "aside/" + manifest }

func (s *store) putAside(name, aside string) error {
	return vfs.Commit(s.disk, s.path(name), s.path(aside))
}

// passOver sets a checkpoint that does not verify aside. If its folder is missing, it records
// that in the ledger, once.
func (s *store) passOver(p PassedOver) error {
	if p.Present {
		if err := s.tellAside(p.Step, fmt.Sprintf("%s; set aside as %s", p.Reason, p.Aside)); err != nil {
			return err
		}
		return s.putAside(p.Folder, p.Aside)
	}
	for _, c := range s.log.Checkpoints() {
		if c.Step == p.Step && c.Folder == p.Folder && s.log.Has(asideKey(c.Manifest)) {
			return nil
		}
	}
	return s.tellAside(p.Step, p.Reason.Error())
}

// tellAside records in the ledger that the checkpoint of a step no longer counts.
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
