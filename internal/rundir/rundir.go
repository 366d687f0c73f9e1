// Package rundir is the folder of a run: where everything lies in it, and who
// may use it.
//
// It guarantees that two processes never run the same folder at once: Lock holds
// the folder itself, which leaves no file behind and ends with the process.
package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is the folder of a run.
type Dir string

// The places in it.
func (d Dir) Spec() string              { return d.join("spec.yaml") }
func (d Dir) Corpus() string            { return d.join("corpus") } // prepared, or a link to it
func (d Dir) Checkpoints() string       { return d.join("checkpoints") }
func (d Dir) Ledger() string            { return d.join("ledger") }
func (d Dir) Keys() string              { return d.join("keys") }
func (d Dir) Logs() string              { return d.join("logs") }
func (d Dir) Energy() string            { return d.join("energy") }   // readings that the ledger does not hold yet
func (d Dir) Cluster() string           { return d.join(".cluster") } // only while the run is up
func (d Dir) Endpoint() string          { return filepath.Join(d.Cluster(), "endpoint.json") }
func (d Dir) Evaluation() string        { return d.join("evaluation.json") }
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

// Sockets is a folder for unix sockets, whose paths must be short. It is the
// same for every start of the run.
func (d Dir) Sockets() string {
	path, err := filepath.Abs(string(d))
	if err != nil {
		path = string(d)
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(os.TempDir(), fmt.Sprintf("gramme-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
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

// Lock holds the folder until the returned function is called or the process
// ends.
func (d Dir) Lock() (unlock func(), err error) {
	f, err := os.Open(string(d))
	if err != nil {
		return nil, fmt.Errorf("lock run: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w by another process", ErrInUse)
		}
		return nil, fmt.Errorf("lock run %s: %w", d, errors.Join(err, f.Close()))
	}
	return func() { _ = f.Close() }, nil // the lock ends, whatever Close says
}

// Locked reports whether some process holds the folder.
func (d Dir) Locked() bool {
	unlock, err := d.Lock()
	if err == nil {
		unlock()
	}
	return errors.Is(err, ErrInUse)
}
