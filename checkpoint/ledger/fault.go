package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Fault locates what is wrong with a ledger.
type Fault struct {
	File   string // such as "ledger/entries", or the name of a head kept elsewhere
	Entry  int64  // index of the entry; -1 if the whole file is at fault
	Reason string
}

func (f *Fault) Error() string {
	if f.Entry < 0 {
		return f.File + ": " + f.Reason
	}
	return fmt.Sprintf("%s, entry %d: %s", f.File, f.Entry, f.Reason)
}

// RefusedError says which of the entries given to Append does not belong in a log. No entry of
// that call was appended.
type RefusedError struct {
	Position int // in the arguments
	Err      error
}

func (r *RefusedError) Error() string {
	return fmt.Sprintf("append to ledger: entry %d of this call: %v", r.Position, r.Err)
}

func (r *RefusedError) Unwrap() error { return r.Err }

// faultOf returns a Fault of a file of the log in dir.
func faultOf(dir, name string, entry int64, format string, args ...any) *Fault {
	return &Fault{File: filepath.Join(filepath.Base(dir), name), Entry: entry, Reason: fmt.Sprintf(format, args...)}
}

// readFault tells a missing file, which is a fault of the ledger, from a file that could
// not be read, which is none.
func readFault(dir, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return faultOf(dir, name, -1, "the file is missing")
	}
	return fmt.Errorf("read ledger: %w", err)
}
