package ledger

import (
	"bytes"
	"errors"
	"fmt"
)

// batch is a set of entries on their way into the log.
type batch struct {
	state   replay
	entries []Entry
	head    Head
}

// trim cuts off what stands behind the head.
func (l *Log) trim() error {
	if !l.cut {
		return nil
	}
	if err := l.entries.Truncate(l.state.bytes); err != nil {
		return err
	}
	if err := l.entries.Sync(); err != nil {
		return err
	}
	l.cut = false
	return nil
}

// Append adds entries, in this order, and returns the head that covers them.
// When it returns without an error they are durable and signed. Records and
// keyed entries that are there already are dropped silently. Whatever their
// number, entries cost one sync of the entries and one of the head.
//
// An entry that does not belong in a log gives a *Refused, and none of the call
// is appended. After another error, a full disk say, the log is as it was and
// may be used again; whether the entries are in it is known only once a later
// Append returns. To append them again is right for those that count once.
func (l *Log) Append(entries ...Entry) (Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range entries {
		if entries[i].Started != nil || entries[i].Resumed != nil || entries[i].Handover != nil {
			return Head{}, &Refused{i, errors.New("started, resumed and handovers are written by Open and Resume")}
		}
	}
	return l.append(entries)
}

func (l *Log) append(entries []Entry) (Head, error) {
	if err := l.settle(); err != nil {
		return Head{}, err
	}
	b, text, err := l.prepare(entries)
	if err != nil {
		return Head{}, err
	}
	if len(b.entries) == 0 {
		return l.head, nil
	}
	if err := l.write(text); err != nil {
		return Head{}, fmt.Errorf("append to ledger: %w", err)
	}
	if err := l.publish(b); err != nil {
		return Head{}, fmt.Errorf("append to ledger: %w", err)
	}
	return l.head, nil
}

// settle ends a doubt about the newest head.
func (l *Log) settle() error {
	if l.entries == nil {
		return errClosed
	}
	if l.doubt != nil {
		if err := l.publish(l.doubt); err != nil {
			return fmt.Errorf("append to ledger: %w", err)
		}
	}
	return nil
}

// prepare makes lines of the entries that are new.
func (l *Log) prepare(entries []Entry) (*batch, []byte, error) {
	b := &batch{state: l.state.fork()}
	var text bytes.Buffer
	for i, e := range entries {
		if b.state.seen.has(&e) {
			continue
		}
		e.Version, e.Index, e.Prev = Version, b.state.tree.size, b.state.link()
		if e.Time.IsZero() {
			e.Time = l.now()
		}
		e.Time = e.Time.UTC()
		var err error
		if e.Type, err = e.body(); err != nil {
			return nil, nil, &Refused{i, err}
		}
		line, err := encode(e)
		if err != nil {
			return nil, nil, &Refused{i, err}
		}
		// Read back as a verifier would: text that is not UTF-8, say, is not
		// what it was.
		e, err = b.state.add(line[:len(line)-1])
		if err != nil {
			return nil, nil, &Refused{i, err}
		}
		b.entries = append(b.entries, e)
		text.Write(line)
	}
	if len(b.entries) == 0 {
		return b, nil, nil
	}
	var err error
	b.head, err = sign(l.signer, b.state.tree.size, b.state.tree.root())
	return b, text.Bytes(), err
}

// write makes lines durable behind those that the head covers.
func (l *Log) write(text []byte) error {
	if err := l.trim(); err != nil {
		return err
	}
	l.cut = true
	_, err := l.entries.WriteAt(text, l.state.bytes)
	if err == nil {
		err = l.entries.Sync()
	}
	if err != nil {
		return errors.Join(err, l.trim())
	}
	return nil
}

// publish makes the head of a batch, whose lines are durable, the log's.
func (l *Log) publish(b *batch) error {
	path := l.path(headFile)
	if err := stageFile(l.disk, path, b.head.Note, 0o644); err != nil {
		if l.doubt == nil { // the old head stands
			err = errors.Join(err, l.trim())
		}
		return err
	}
	if err := swapFile(l.disk, path); err != nil {
		// After a crash either head may stand there, and someone may have seen
		// the new one: the lines have to stay, and the way is forward.
		l.doubt = b
		return err
	}
	l.state.adopt(b.state, b.entries)
	l.head, l.doubt, l.cut = b.head, nil, false
	return nil
}
