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
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/runspec"
)

// SigningKey is the key that signs a run's ledger from here on.
type SigningKey struct {
	Key string // path of the private key; empty: a new one is made
	// Old is the previous private key, if it is at hand and belongs to another folder.
	// Handover is why another key continues; empty if none does.
	Old, Handover string
	// InFolder is why the key is in the run's folder, where a copy of the folder
	// contains it; empty if it is not there.
	InFolder string
	inherit  bool // Key lies in the run's folder, and moves to the user's
}

// folderKey is the path of a key in a run's folder: of an earlier version, of a user
// without a folder for keys, or of a run that somebody moves to another machine.
func folderKey(dir rundir.Dir) string { return filepath.Join(dir.Keys(), "signing.key") }

// FindSigningKey decides which key signs a run's ledger, and changes nothing.
func FindSigningKey(run string) (SigningKey, error) {
	dir := rundir.Dir(run)
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return SigningKey{}, err
	}
	return findSigningKey(dir, spec.Run)
}

func findSigningKey(dir rundir.Dir, run string) (s SigningKey, err error) {
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
			return SigningKey{Key: k.Path}, nil
		case err == nil && public == current:
			s.Old, s.Handover = k.Path, "this folder is a copy, and "+k.Elsewhere+" holds the key"
		case err == nil && k.Elsewhere == "" && s.Key == "":
			s.Key = k.Path // of a handover that was interrupted, or of a time before
		}
	}
	switch {
	case s.Handover != "":
	case inFolder == current:
		return SigningKey{Key: folderKey(dir), InFolder: s.InFolder, inherit: noStore == nil}, nil
	default:
		s.Handover = "the key of this ledger is not among the keys of this user"
	}
	return s, nil
}

// take puts the key where findSigningKey decided that it belongs.
func (s *SigningKey) take(dir rundir.Dir, run string) (err error) {
	moved := ""
	switch {
	case s.inherit:
		moved, err = keystore.Import(s.Key, run, string(dir))
	case s.Key == "":
		moved, err = keystore.New(run, string(dir))
	case s.InFolder == "":
		_ = keystore.SetHolder(s.Key, string(dir)) // on failure the earlier record stands
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
func openLedger(disk vfs.FS, dir rundir.Dir, spec runspec.Spec, software string) (*ledger.Log, SigningKey, error) {
	s, err := findSigningKey(dir, spec.Run)
	if err == nil {
		err = s.take(dir, spec.Run)
	}
	if err != nil {
		return nil, s, fmt.Errorf("open ledger: %w", err)
	}
	l, err := ledger.Open(ledger.Options{
		Dir: dir.Ledger(), KeyPath: s.Key, OldKey: s.Old, Handover: s.Handover,
		Run: spec.Run, SpecHash: spec.Hash(), Software: software, Disk: disk,
	})
	return l, s, err
}
