// Package keystore finds the place for the private keys of this user's runs: a folder
// outside of the runs' folders, so that a copy of a run's folder does not contain its
// key.
//
// Each key is stored with the folder for which it was made. If this user has two copies of
// a folder on one machine, only one of them holds the key at a time: a folder that was
// moved keeps it, a copy beside the original does not get it. It does
// not see other machines, and does not protect a key from processes that may read this
// user's files.
package keystore

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gramme-project/gramme/internal/userdir"
	"github.com/gramme-project/gramme/internal/vfs"
)

// ErrNone says that this user has no folder for keys that can be written.
var ErrNone = errors.New("no folder for keys")

// Find names the folder of this user's keys, without making it.
func Find() (string, error) {
	dir, err := userdir.Find(userdir.Data)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	return filepath.Join(dir, "keys"), nil
}

// Names in the folder of a key.
const (
	keyFile   = "signing.key"
	placeFile = "place.json"
)

// place is a run's folder, as it was when it last used a key.
type place struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

func placeOf(dir string) (place, error) {
	path, err := filepath.EvalSymlinks(dir)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return place{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return place{}, err
	}
	p := place{Path: path}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		p.Device, p.Inode = uint64(s.Dev), s.Ino //nolint:unconvert // int32 on other systems
	}
	return p, nil
}

// same tells whether two places are one folder: under its path or, moved, as the same
// file.
func (p place) same(q place) bool {
	return p.Path == q.Path || p.Device == q.Device && p.Inode == q.Inode
}

// Key is a key of the store.
type Key struct {
	Path string // of the key's file
	// Elsewhere is the other folder that holds the key; empty where none does.
	Elsewhere string
}

// Keys lists the keys of a run. dir is the folder that asks. present tells whether a
// folder still holds the run. The error is ErrNone, beside the keys, where no other
// can be added.
func Keys(run, dir string, present func(dir string) bool) ([]Key, error) {
	root, err := Find()
	if err != nil {
		return nil, err
	}
	here, err := placeOf(dir)
	if err != nil {
		return nil, fmt.Errorf("find keys of run %s: %w", run, err)
	}
	entries, err := os.ReadDir(filepath.Join(root, run))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	var all []Key
	for _, e := range entries {
		k := Key{Path: filepath.Join(root, run, e.Name(), keyFile)}
		if there, ok := readPlace(k.Path); ok && !there.same(here) && present(there.Path) {
			k.Elsewhere = there.Path
		}
		all = append(all, k)
	}
	if err := userdir.Writable(root, 0o700); err != nil {
		return all, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return all, nil
}

func readPlace(key string) (p place, ok bool) {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(key), placeFile))
	return p, err == nil && json.Unmarshal(b, &p) == nil
}

// SetHolder records that the run folder dir holds a key.
func SetHolder(key, dir string) error {
	here, err := placeOf(dir)
	if err != nil {
		return fmt.Errorf("hold key: %w", err)
	}
	if there, ok := readPlace(key); ok && there == here {
		return nil
	}
	b, err := json.Marshal(here)
	if err != nil {
		return fmt.Errorf("hold key: %w", err)
	}
	return vfs.WriteFile(vfs.OS{}, filepath.Join(filepath.Dir(key), placeFile), append(b, '\n'), 0o600)
}

// New makes the place for another key of a run, and notes that dir holds it.
func New(run, dir string) (key string, err error) {
	root, err := Find()
	if err != nil {
		return "", err
	}
	name := make([]byte, 6)
	if _, err := rand.Read(name); err != nil {
		return "", fmt.Errorf("name a key: %w", err)
	}
	at := filepath.Join(root, run, hex.EncodeToString(name))
	if err := os.MkdirAll(at, 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	key = filepath.Join(at, keyFile)
	if err := SetHolder(key, dir); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	return key, nil
}

// Import moves a key from a file into the store.
func Import(from, run, dir string) (key string, err error) {
	b, err := os.ReadFile(from)
	if err != nil {
		return "", fmt.Errorf("move key: %w", err)
	}
	if key, err = New(run, dir); err != nil {
		return "", err
	}
	if err := vfs.WriteFile(vfs.OS{}, key, b, 0o600); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err := os.Remove(from); err != nil {
		return "", fmt.Errorf("move key: %w", err)
	}
	return key, nil
}
