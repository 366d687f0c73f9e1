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

// Options say where a log is and which run it belongs to.
type Options struct {
	Dir     string // folder of the three files
	KeyPath string // private key; made with the log, and at a handover
	// Handover is the reason for which another key than the log's may go on, empty where
	// none may. OldKey is then the path of the log's own key, if it is available: it
	// signs the handover.
	Handover string
	OldKey   string
	Run      string
	SpecHash string // of the run; a log with another is refused
	Software string // the writing build, for the started and resumed entries
	Now      func() time.Time
	Disk     vfs.FS // nil: that of the machine
}

// Log is an open log. Its methods may be called from several goroutines.
type Log struct {
	disk     vfs.FS
	dir      string
	now      func() time.Time
	software string
	signer   note.Signer
	entries  vfs.File

	mu          sync.Mutex
	state       replay // what the head covers
	head        Head
	hasTail     bool   // bytes after state.bytes may have to be cut off
	unconfirmed *batch // its entries are durable; whether its head is, is unknown
}

var errClosed = errors.New("ledger is closed")

// Open opens the log of a run for writing, or makes it, with its keys and first entry. It
// cuts off bytes that the head does not cover. A log that does not verify is refused with
// a *Fault and left unchanged.
//
// One process at a time may open a log.
func Open(o Options) (*Log, error) {
	if o.Disk == nil {
		return open(vfs.OS{}, o)
	}
	return open(o.Disk, o)
}

func open(d vfs.FS, o Options) (_ *Log, err error) {
	if o.Run == "" || strings.ContainsFunc(o.Run, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("open ledger: %q is not the name of a run", o.Run)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := vfs.MkdirAll(d, o.Dir, 0o755); err != nil {
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
		err = l.loadExisting(o)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

// create makes the keys and the first entry. A log whose creation was interrupted has
// neither a head nor a second entry; any other log without a head has lost it.
func (l *Log) create(o Options) error {
	old := newLineReader(l.entries, 0, math.MaxInt64)
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
	l.signer, l.hasTail = signer, true
	l.state = newReplay(o.Run, public)
	_, err = l.append([]Entry{{Started: &Started{
		Run: o.Run, SpecHash: o.SpecHash, PublicKey: public, Software: o.Software,
	}}})
	return err
}

// loadExisting reads the log and cuts off bytes that the head does not cover.
func (l *Log) loadExisting(o Options) error {
	files, err := readSmallFiles(l.disk, l.dir)
	if err != nil {
		return err
	}
	if files.run != o.Run {
		return fmt.Errorf("it is of log %q, not of %q", origin(files.run), origin(o.Run))
	}
	l.head = files.head
	if l.state, err = files.fastReplay(l.dir, l.entries); err != nil {
		return err
	}
	if first := l.state.started; o.SpecHash != "" && first.SpecHash != o.SpecHash {
		return fmt.Errorf("it is of a run with spec %.12s, not %.12s", first.SpecHash, o.SpecHash)
	}
	if err := l.disk.Remove(l.path(headFile) + temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The process that wrote the head may have died before it was durable.
	if err := vfs.SyncDir(l.disk, l.dir); err != nil {
		return err
	}
	l.hasTail = true
	if err := l.truncateTail(); err != nil {
		return err
	}
	return l.adoptKey(o)
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
	return l.state.counted.hasKey(key)
}

// HasRecord reports whether a reading or gap of this identity is in the log.
func (l *Log) HasRecord(k energy.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.counted.hasRecord(k)
}

// Close releases the log. Everything appended is already durable.
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
