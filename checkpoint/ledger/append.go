package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/gramme-project/gramme/internal/vfs"
)

// batch is a set of entries that are being appended.
type batch struct {
	state   replay
	entries []Entry
	head    Head
}

// truncateTail cuts off the bytes that the head does not cover.
func (l *Log) truncateTail() error {
	if !l.hasTail {
		return nil
	}
	if err := l.entries.Truncate(l.state.bytes); err != nil {
		return err
	}
	if err := l.entries.Sync(); err != nil {
		return err
	}
	l.hasTail = false
	return nil
}

// Append adds entries in this order and returns the head that covers them. When it
// returns without an error they are durable and signed. Records and keyed entries that
// are already in the log are dropped silently. A call costs one sync of the entries and
// one of the head, however many entries it has.
//
// An entry that does not belong in a log gives a *RefusedError, and no entry of the call is
// appended. After any other error, such as a full disk, the log can be used again;
// whether the entries are in it is known once a later Append returns. Appending again is
// safe for entries that count once.
func (l *Log) Append(entries ...Entry) (Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range entries {
		if entries[i].Started != nil || entries[i].Resumed != nil || entries[i].Handover != nil {
			return Head{}, &RefusedError{i, errors.New("started, resumed and handovers are written by Open and Resume")}
		}
	}
	return l.append(entries)
}

func (l *Log) append(entries []Entry) (Head, error) {
	if err := l.resolveHead(); err != nil {
		return Head{}, err
	}
	b, text, err := l.prepare(entries)
	if err != nil {
		return Head{}, err
	}
	if len(b.entries) == 0 {
		return l.head, nil
	}
	if err := l.writeEntries(text); err != nil {
		return Head{}, fmt.Errorf("append to ledger: %w", err)
	}
	if err := l.publishHead(b); err != nil {
		return Head{}, fmt.Errorf("append to ledger: %w", err)
	}
	return l.head, nil
}

// resolveHead publishes the head whose durability an earlier failure left unknown.
func (l *Log) resolveHead() error {
	if l.entries == nil {
		return errClosed
	}
	if l.unconfirmed != nil {
		if err := l.publishHead(l.unconfirmed); err != nil {
			return fmt.Errorf("append to ledger: %w", err)
		}
	}
	return nil
}

// prepare encodes the entries that are new.
func (l *Log) prepare(entries []Entry) (*batch, []byte, error) {
	b := &batch{state: l.state.fork()}
	var text bytes.Buffer
	for i, e := range entries {
		if b.state.counted.has(&e) {
			continue
		}
		e.Version, e.Index, e.Prev = Version, b.state.tree.size, b.state.link()
		if e.Time.IsZero() {
			e.Time = l.now()
		}
		e.Time = e.Time.UTC()
		var err error
		if e.Type, err = e.body(); err != nil {
			return nil, nil, &RefusedError{i, err}
		}
		line, err := encode(e)
		if err != nil {
			return nil, nil, &RefusedError{i, err}
		}
		// Read it back as a verifier would: text that is not UTF-8, for example, does
		// not survive the encoding.
		e, err = b.state.add(line[:len(line)-1])
		if err != nil {
			return nil, nil, &RefusedError{i, err}
		}
		b.entries = append(b.entries, e)
		text.Write(line)
	}
	if len(b.entries) == 0 {
		return b, nil, nil
	}
	var err error
	b.head, err = signHead(l.signer, b.state.tree.size, b.state.tree.root())
	return b, text.Bytes(), err
}

// writeEntries makes lines durable after those that the head covers.
func (l *Log) writeEntries(text []byte) error {
	if err := l.truncateTail(); err != nil {
		return err
	}
	l.hasTail = true
	_, err := l.entries.WriteAt(text, l.state.bytes)
	if err == nil {
		err = l.entries.Sync()
	}
	if err != nil {
		return errors.Join(err, l.truncateTail())
	}
	return nil
}

// publishHead makes the head of a batch, whose lines are durable, the head of the log.
func (l *Log) publishHead(b *batch) error {
	path := l.path(headFile)
	if err := vfs.Stage(l.disk, path+temporary, 0o644, vfs.Bytes(b.head.Note)); err != nil {
		if l.unconfirmed == nil { // the old head remains
			err = errors.Join(err, l.truncateTail())
		}
		return err
	}
	if err := vfs.Commit(l.disk, path+temporary, path); err != nil {
		// After a crash the file may hold either head, and a reader may have seen the new
		// one: the lines must stay, and the new head must be published.
		l.unconfirmed = b
		return err
	}
	l.state.adopt(b.state, b.entries)
	l.head, l.unconfirmed, l.hasTail = b.head, nil, false
	return nil
}
