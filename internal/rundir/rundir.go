// Package rundir is the folder of a run: the places in it, and the lock of the process
// that uses it.
//
// It guarantees that two processes never run the same folder at once: Lock holds
// the folder itself, which leaves no file behind and ends with the process.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Dir is the folder of a run.
type Dir string

// The places in it.
func (d Dir) Spec() string              { return d.join("spec.yaml") }
func (d Dir) Corpus() string            { return d.join("corpus") }  // prepared; in runs of earlier versions a link to it
func (d Dir) Inputs() string            { return d.join(".inputs") } // of a corpus that no run has yet
func (d Dir) Checkpoints() string       { return d.join("checkpoints") }
func (d Dir) Ledger() string            { return d.join("ledger") }
func (d Dir) Keys() string              { return d.join("keys") } // where the user has no folder for keys
func (d Dir) Logs() string              { return d.join("logs") }
func (d Dir) Energy() string            { return d.join("energy") }   // readings that the ledger does not hold yet
func (d Dir) Cluster() string           { return d.join(".cluster") } // only while the run is up
func (d Dir) Endpoint() string          { return filepath.Join(d.Cluster(), "endpoint.json") }
func (d Dir) Evaluation() string        { return d.join("evaluation.json") }
func (d Dir) Precision() string         { return d.join("precision.json") } // the choice of --precision auto
func (d Dir) Layout() string            { return d.join("layout.json") }    // the choice of workers and threads
func (d Dir) Log(process string) string { return filepath.Join(d.Logs(), process+".log") }

func (d Dir) join(name string) string { return filepath.Join(string(d), name) }

// Next is a folder beside this one that is free for another run.
func (d Dir) Next() Dir {
	for n := 2; ; n++ {
		next := Dir(fmt.Sprintf("%s-%d", filepath.Clean(string(d)), n))
		if _, err := os.Lstat(string(next)); err != nil {
			return next
		}
	}
}

// Make creates the folder and those in it that every run has.
func (d Dir) Make() error {
	for _, path := range []string{string(d), d.Logs(), d.Energy()} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("make run folder: %w", err)
		}
	}
	return nil
}

// ErrInUse says that another process holds the folder.
var ErrInUse = errors.New("in use")

// lockWithin is how long Lock waits: a process that was killed a moment ago may
// still hold the folder, and a process that tests the lock holds it for a moment.
const lockWithin = 2 * time.Second

// Lock holds the folder until the returned function is called or the process
// ends.
func (d Dir) Lock() (unlock func(), err error) {
	for end := time.Now().Add(lockWithin); ; {
		f, err := vfs.Lock(vfs.OS{}, string(d), time.Until(end))
		switch {
		case errors.Is(err, vfs.ErrLocked):
			return nil, fmt.Errorf("lock run %s: %w by another process", d, ErrInUse)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("lock run %s: %w", d, err)
		case err == nil && vfs.Named(f, string(d)):
			return func() { _ = f.Close() }, nil // the lock ends even if Close fails
		case err == nil:
			_ = f.Close() // nothing was written to it
		}
		// The process that held it has removed it.
		if time.Now().After(end) {
			return nil, fmt.Errorf("lock run %s: another folder took its place", d)
		}
		if err := d.Make(); err != nil {
			return nil, err
		}
	}
}

// Locked reports whether some process holds the folder. It keeps no other from
// finding that out.
func (d Dir) Locked() bool {
	f, err := vfs.Open(vfs.OS{}, string(d))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(f.RLock(), vfs.ErrLocked)
}
