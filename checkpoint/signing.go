package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/keystore"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// Signing is how a run's ledger is signed from here on.
type Signing struct {
	Key string // path of the private key; empty: a new one is made
	// Old is the private key of the ledger, where it is at hand and belongs to another
	// folder; Handover is why another key goes on, empty where none does.
	Old, Handover string
	// InFolder is why the key lies in the run's folder, where copies take it along;
	// empty where it does not.
	InFolder string
	inherit  bool // Key lies in the run's folder, and moves to the user's
}

// folderKey is where keys lie that are in a run's folder: those of earlier versions,
// those of users without a folder for keys, and those that somebody put there to move
// a run to another machine.
func folderKey(dir rundir.Dir) string { return filepath.Join(dir.Keys(), "signing.key") }

// FindSigning decides which key signs a run's ledger, and changes nothing.
func FindSigning(run string) (Signing, error) {
	dir := rundir.Dir(run)
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return Signing{}, err
	}
	return findSigning(dir, spec.Run)
}

func findSigning(dir rundir.Dir, run string) (s Signing, err error) {
	current, err := ledger.CurrentKey(dir.Ledger())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	inFolder, err := ledger.PublicKey(folderKey(dir), run)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	keys, noStore := keystore.Keys(run, string(dir), func(other string) bool {
		spec, err := runspec.Read(rundir.Dir(other).Spec())
		return err == nil && spec.Run == run
	})
	if noStore != nil && !errors.Is(noStore, keystore.ErrNone) {
		return s, noStore
	}
	if noStore != nil {
		s.Key, s.InFolder = folderKey(dir), noStore.Error()
	}
	if current == "" { // a new ledger: if a key lies in the folder, it was put there
		if inFolder != "" {
			s.Key, s.inherit = folderKey(dir), noStore == nil
		}
		return s, nil
	}
	for _, k := range keys {
		public, err := ledger.PublicKey(k.Path, run)
		switch {
		case err == nil && public == current && k.Elsewhere == "":
			return Signing{Key: k.Path}, nil
		case err == nil && public == current:
			s.Old, s.Handover = k.Path, "this folder is a copy, and "+k.Elsewhere+" holds the key"
		case err == nil && k.Elsewhere == "" && s.Key == "":
			s.Key = k.Path // of a handover that was interrupted, or of a time before
		}
	}
	switch {
	case s.Handover != "":
	case inFolder == current:
		return Signing{Key: folderKey(dir), InFolder: s.InFolder, inherit: noStore == nil}, nil
	default:
		s.Handover = "the key of this ledger is not among those of the user who goes on"
	}
	return s, nil
}

// take makes what was decided so: the key lies where it belongs.
func (s *Signing) take(dir rundir.Dir, run string) (err error) {
	moved := ""
	switch {
	case s.inherit:
		moved, err = keystore.Import(s.Key, run, string(dir))
	case s.Key == "":
		moved, err = keystore.New(run, string(dir))
	case s.InFolder == "":
		err = keystore.Hold(s.Key, string(dir))
		if err != nil { // what cannot be noted now was noted before
			err = nil
		}
	}
	switch {
	case errors.Is(err, keystore.ErrNone):
		s.Key, s.InFolder, err = folderKey(dir), err.Error(), nil
	case moved != "":
		s.Key = moved
	}
	if err == nil && s.InFolder == "" {
		// A key that a copy took along does not stay in it.
		if err = os.Remove(folderKey(dir)); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = nil
			_ = os.Remove(dir.Keys()) // where nothing else is in it
		}
	}
	return err
}

// openLedger opens the ledger of a run with the key that belongs to its folder.
func openLedger(dir rundir.Dir, spec runspec.Spec, software string) (*ledger.Log, Signing, error) {
	s, err := findSigning(dir, spec.Run)
	if err == nil {
		err = s.take(dir, spec.Run)
	}
	if err != nil {
		return nil, s, fmt.Errorf("open ledger: %w", err)
	}
	l, err := ledger.Open(ledger.Options{
		Dir: dir.Ledger(), KeyPath: s.Key, OldKey: s.Old, Handover: s.Handover,
		Run: spec.Run, SpecHash: spec.Hash(), Software: software,
	})
	return l, s, err
}
