package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gramme-project/gramme/internal/energy"
)

// Options say where a log is and whose it is.
type Options struct {
	Dir      string // folder of the three files
	KeyPath  string // private key; made when the log is
	Run      string
	SpecHash string // of the run; a log of another is refused
	Software string // that writes, for the first entry
	Now      func() time.Time
}

// Log is an open log. Its methods may be called from several goroutines.
type Log struct {
	disk    disk
	dir     string
	now     func() time.Time
	signer  note.Signer
	entries file

	mu    sync.Mutex
	state replay // what the head covers
	head  Head
	cut   bool   // behind state.bytes may stand a remainder to cut off
	doubt *batch // its entries are durable; whether its head is, is not known
}

// batch is a set of entries on their way into the log.
type batch struct {
	state   replay
	entries []Entry
	head    Head
}

var errClosed = errors.New("ledger is closed")

// Open opens the log of a run for writing, and makes it, with its keys and first
// entry, where there is none. What stands behind the head is cut off. A log that
// does not verify is refused with a *Fault and left as it is.
//
// One process may hold a log at a time.
func Open(o Options) (*Log, error) { return open(system{}, o) }

func open(d disk, o Options) (_ *Log, err error) {
	if o.Run == "" || strings.ContainsFunc(o.Run, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("open ledger: %q is not the name of a run", o.Run)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := d.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Log{disk: d, dir: o.Dir, now: o.Now}
	l.entries, err = d.OpenFile(l.path(entriesFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open ledger: %w", errors.Join(err, l.entries.Close()))
		}
	}()
	if err := l.entries.Lock(); err != nil {
		return nil, err
	}
	head, err := readFile(d, l.path(headFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = l.create(o)
	case err == nil:
		err = l.load(o, head)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

// create makes the keys and the first entry. A log whose creation was
// interrupted has no head and no second entry; anything else without a head has
// lost it.
func (l *Log) create(o Options) error {
	old := newLines(l.entries, 0, math.MaxInt64)
	if _, err := old.next(); err == nil {
		if _, err := old.next(); !errors.Is(err, io.EOF) {
			return faultOf(l.dir, headFile, -1, "the file is missing, but there are entries")
		}
	}
	// This syncs the folder, so that no head can outlive the entries file.
	signer, public, err := ensureKeys(l.disk, l.dir, o.KeyPath, o.Run, true)
	if err != nil {
		return err
	}
	l.signer, l.cut = signer, true
	l.state = newReplay(o.Run, public)
	_, err = l.append([]Entry{{Started: &Started{
		Run: o.Run, SpecHash: o.SpecHash, PublicKey: public, Software: o.Software,
	}}})
	return err
}

// load reads what stands and cuts off what the head does not cover.
func (l *Log) load(o Options, head []byte) error {
	signer, public, err := ensureKeys(l.disk, l.dir, o.KeyPath, o.Run, false)
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return err
	}
	l.signer = signer
	if l.head, err = parseHead(head, v); err != nil {
		return faultOf(l.dir, headFile, -1, "%v", err)
	}
	l.state = newReplay(o.Run, public)
	if err := skim(l.dir, l.entries, l.head, &l.state); err != nil {
		return err
	}
	if first := l.state.started; o.SpecHash != "" && first.SpecHash != o.SpecHash {
		return fmt.Errorf("it is of a run with spec %.12s, not %.12s", first.SpecHash, o.SpecHash)
	}
	if err := l.disk.Remove(l.path(headFile) + temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.cut = true
	return l.trim()
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
		if entries[i].Started != nil || entries[i].Resumed != nil {
			return Head{}, &Refused{i, errors.New("started and resumed are written by Open and Resume")}
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

// Resume appends that the run goes on from the checkpoint of step; 0 is the
// beginning. from is the log as that checkpoint's head has it, nil where there
// is none: the entry proves that it is a prefix of this log.
func (l *Log) Resume(step uint64, from *Tree) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.settle(); err != nil {
		return err
	}
	r := &Resumed{Prior: l.state.tree.state(), Step: step, From: from}
	if from != nil {
		proof, err := l.prove(from.Size)
		if err != nil {
			return fmt.Errorf("resume from the checkpoint of step %d: %w", step, err)
		}
		r.Proof = proof
		if err := r.check(l.state.tree); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	_, err := l.append([]Entry{{Resumed: r}})
	return err
}

// prove returns the proof that the first n entries are a prefix of the log.
func (l *Log) prove(n int64) ([]string, error) {
	if n < 1 || n > l.state.tree.size {
		return nil, fmt.Errorf("its ledger had %d entries, this one has %d", n, l.state.tree.size)
	}
	proof, err := tlog.ProveTree(l.state.tree.size, n, tlog.HashReaderFunc(l.hashes))
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, h := range proof {
		texts = append(texts, h.String())
	}
	return texts, nil
}

// hashes returns stored hashes by their index. They are not stored: to read all
// lines again on the rare occasion of a proof is simpler than to keep them true.
func (l *Log) hashes(indexes []int64) ([]tlog.Hash, error) {
	wanted := map[int64]tlog.Hash{}
	for _, i := range indexes {
		wanted[i] = tlog.Hash{}
	}
	var t tree
	in := newLines(l.entries, 0, l.state.bytes)
	for t.size < l.state.tree.size {
		line, err := in.next()
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w", t.size, err)
		}
		t.push(tlog.RecordHash(line), func(level int, n int64, root tlog.Hash) {
			i := tlog.StoredHashIndex(level, n)
			if _, ok := wanted[i]; ok {
				wanted[i] = root
			}
		})
	}
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, wanted[i])
	}
	return found, nil
}

// Head returns the newest durable head.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Has reports whether an entry with this key is in the log.
func (l *Log) Has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.seen.hasKey(key)
}

// HasRecord reports whether a reading or gap of this identity is in the log.
func (l *Log) HasRecord(k energy.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.seen.hasRecord(k)
}

// Close lets go of the log. What was appended is durable already.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		return nil
	}
	err := l.entries.Close()
	l.entries = nil
	return err
}
