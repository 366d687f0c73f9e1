package ledger

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gramme-project/gramme/energy"
)

// replay is the content of a log up to some entry. It takes entries one by one and refuses
// one that cannot follow. Append and Verify share it, so Verify accepts what Append did.
type replay struct {
	run, public string      // required in the first entry
	keys        []keyChange // of handovers, ascending
	started     *Started    // the first entry
	tree        tree
	bytes       int64 // of the lines so far
	last        tlog.Hash
	counted     counted
	saved       []Saved // the checkpoints
	microJ      int64   // of all readings
}

func newReplay(run, public string) replay {
	return replay{run: run, public: public, counted: newCounted(nil)}
}

// fork returns a copy on which to try entries; adopt takes over what it accepted.
func (r *replay) fork() replay {
	f := *r
	f.tree = r.tree.clone()
	f.counted = newCounted(&r.counted)
	f.saved = slices.Clip(r.saved) // additions to one are not in the other
	f.keys = slices.Clip(r.keys)
	return f
}

// adopt makes r the fork, which accepted these entries.
func (r *replay) adopt(f replay, entries []Entry) {
	mine := r.counted
	for i := range entries {
		mine.add(&entries[i])
	}
	*r = f
	r.counted = mine
}

// link returns the reference of the next entry, empty before the first.
func (r *replay) link() string {
	if r.tree.size == 0 {
		return ""
	}
	return link(r.last)
}

// add checks and takes the next line, without its newline. The error is a reason without
// the place.
func (r *replay) add(line []byte) (Entry, error) {
	e, err := decode(line)
	if err != nil {
		return Entry{}, err
	}
	if e.Index != r.tree.size {
		return Entry{}, fmt.Errorf("it says that it is entry %d: entries are missing, added or moved", e.Index)
	}
	if e.Prev != r.link() {
		return Entry{}, fmt.Errorf("it does not follow entry %d: one of the two was changed", e.Index-1)
	}
	if r.counted.has(&e) {
		return Entry{}, errors.New("it is in the log twice")
	}
	if err := r.checkFollows(&e); err != nil {
		return Entry{}, err
	}
	if e.Started != nil {
		r.started = e.Started
	}
	r.accept(&e, line)
	return e, nil
}

// accept takes an entry that is known to be in order.
func (r *replay) accept(e *Entry, line []byte) {
	if e.Reading != nil {
		r.microJ += e.Reading.MicroJ
	}
	if e.Checkpoint != nil {
		r.saved = append(r.saved, Saved{e.Index, *e.Checkpoint})
	}
	if e.Handover != nil {
		r.keys = append(r.keys, keyChange{e.Index, e.Handover.To})
	}
	r.counted.add(e)
	r.last = tlog.RecordHash(line)
	r.tree.push(r.last, nil)
	r.bytes += int64(len(line)) + 1
}

// checkFollows returns why the body cannot follow.
func (r *replay) checkFollows(e *Entry) error {
	if (e.Started != nil) != (e.Index == 0) {
		return errors.New("a log begins with its one entry of type started")
	}
	if k, ok := e.record(); ok && k == (energy.Key{}) {
		return errors.New("a record without a source")
	}
	switch {
	case e.Started != nil:
		if e.Started.Run != r.run || e.Started.PublicKey != r.public {
			return fmt.Errorf("the log of run %q begins with run %q or another key", r.run, e.Started.Run)
		}
	case e.Resumed != nil:
		return e.Resumed.checkFollows(r.tree)
	case e.Handover != nil:
		return e.Handover.checkFollows(r)
	case e.Reading != nil:
		if e.Reading.Run != r.run {
			return fmt.Errorf("reading of run %q in the log of run %q", e.Reading.Run, r.run)
		}
		if _, ok := energy.Add(r.microJ, e.Reading.MicroJ); !ok {
			return errors.New("the energy of all readings overflows")
		}
	case e.Gap != nil && e.Gap.Run != r.run:
		return fmt.Errorf("gap of run %q in the log of run %q", e.Gap.Run, r.run)
	}
	return nil
}
