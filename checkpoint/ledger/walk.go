package ledger

import (
	"errors"
	"io"
	"math"
)

// walk reads the entries that a head covers, checks them one by one and against the head,
// and passes each to visit. It returns an error of visit unchanged; a fault of the log is
// a *Fault.
func walk(dir string, r io.ReaderAt, h Head, to *replay, visit func(Entry) error) error {
	in := newLineReader(r, 0, math.MaxInt64)
	for to.tree.size < h.Size {
		i := to.tree.size
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return faultOf(dir, entriesFile, i, "it is missing: the head covers %d entries", h.Size)
		case errors.Is(err, errCutShort) || errors.Is(err, errTooLong):
			return faultOf(dir, entriesFile, i, "%v", err)
		case err != nil:
			return readFault(dir, entriesFile, err)
		}
		e, err := to.add(line)
		if err != nil {
			return faultOf(dir, entriesFile, i, "%v", err)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	if to.tree.root() != h.Root {
		return faultOf(dir, entriesFile, h.Size-1, "the head does not cover it: the entry or the head was changed")
	}
	return nil
}
