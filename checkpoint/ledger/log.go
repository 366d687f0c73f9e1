package ledger

import (
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

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs"
)

// Options say where a log is and whose it is.
type Options struct {
	Dir     string // folder of the three files
	KeyPath string // private key; made when the log is, and when it is handed over
	// Handover is why another key than the log's may go on with it, empty where none
	// may. OldKey is then where the log's own is, if it can be had: it signs the
	// handover.
	Handover string
	OldKey   string
	Run      string
	SpecHash string // of the run; a log of another is refused
	Software string // that writes, for the first entry and each after which the run goes on
	Now      func() time.Time
}

// Log is an open log. Its methods may be called from several goroutines.
type Log struct {
	disk     disk
	dir      string
	now      func() time.Time
	software string
	signer   note.Signer
	entries  file

	mu    sync.Mutex
	state replay // what the head covers
	head  Head
	cut   bool   // behind state.bytes may stand a remainder to cut off
	doubt *batch // its entries are durable; whether its head is, is not known
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
	if err := makeFolder(d, o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Log{disk: d, dir: o.Dir, now: o.Now, software: o.Software}
	l.entries, err = d.OpenFile(l.path(entriesFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open ledger: %w", errors.Join(err, l.entries.Close()))
		}
	}()
	if err := l.entries.Lock(); errors.Is(err, vfs.ErrLocked) {
		return nil, errors.New("another process writes this ledger")
	} else if err != nil {
		return nil, err
	}
	_, err = readFile(d, l.path(headFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = l.create(o)
	case err == nil:
		err = l.load(o)
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
	signer, public, err := makeKeys(l.disk, l.dir, o.KeyPath, o.Run)
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
func (l *Log) load(o Options) error {
	stands, err := readStanding(l.disk, l.dir)
	if err != nil {
		return err
	}
	if stands.run != o.Run {
		return fmt.Errorf("it is of log %q, not of %q", origin(stands.run), origin(o.Run))
	}
	l.head = stands.head
	if l.state, err = stands.fastReplay(l.dir, l.entries); err != nil {
		return err
	}
	if first := l.state.started; o.SpecHash != "" && first.SpecHash != o.SpecHash {
		return fmt.Errorf("it is of a run with spec %.12s, not %.12s", first.SpecHash, o.SpecHash)
	}
	if err := l.disk.Remove(l.path(headFile) + temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The process that wrote the head may have died before it was durable.
	if err := syncFolder(l.disk, l.dir); err != nil {
		return err
	}
	l.cut = true
	if err := l.trim(); err != nil {
		return err
	}
	return l.takeUp(o)
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
