package meter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// logFile is the name of the write-ahead log in its folder.
const logFile = "readings.wal"

// ErrInUse says that another process uses a log.
var ErrInUse = errors.New("another process holds it")

// lockWithin is how long a process waits for its log, which SendPending may hold.
const lockWithin = 2 * time.Second

// disk is the folder of a log, with what a log needs of it.
type disk interface {
	// read returns a file and when it was last written or touched; nothing for a
	// missing file.
	read(name string) ([]byte, time.Time, error)
	create(name string) (file, error)
	// rename replaces a file by another, durably.
	rename(from, to string) error
	touch(name string, now time.Time) error
	close() error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// wal writes the log. After a failure nothing can be appended, since the end of the file
// is unknown: the whole log has to be rewritten.
type wal struct {
	disk   disk
	file   file
	size   int
	broken bool
}

// rewrite replaces the log, atomically and durably.
func (w *wal) rewrite(log []byte) error {
	w.broken = true
	f, err := w.disk.create(logFile + ".new")
	if err != nil {
		return err
	}
	size, err := write(f, log)
	if err == nil {
		err = w.disk.rename(logFile+".new", logFile)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	old := w.file
	w.file, w.size, w.broken = f, size, false
	if old != nil {
		_ = old.Close() // its content is superseded
	}
	return nil
}

// append adds a frame to an unbroken log, durably.
func (w *wal) append(frame []byte) error {
	n, err := write(w.file, frame)
	w.size += n
	w.broken = err != nil
	return err
}

func (w *wal) close() error {
	var err error
	if w.file != nil {
		err = w.file.Close()
	}
	return errors.Join(err, w.disk.close())
}

func write(f file, b []byte) (size int, err error) {
	if size, err = f.Write(b); err != nil {
		return size, err
	}
	return size, f.Sync()
}

// folder is a disk in the file system.
type folder struct {
	dir  string
	lock io.Closer
}

// openFolder locks the folder of a log until it is closed: two processes with one log
// would lose each other's records.
func openFolder(dir string) (disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	for end := time.Now().Add(lockWithin); errors.Is(err, ErrInUse) && time.Now().Before(end); {
		time.Sleep(lockWithin / 100)
		lock, err = lockFolder(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return &folder{dir, lock}, nil
}

func (d *folder) read(name string) ([]byte, time.Time, error) {
	path := filepath.Join(d.dir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	return b, info.ModTime(), nil
}

func (d *folder) create(name string) (file, error) { return os.Create(filepath.Join(d.dir, name)) }

func (d *folder) rename(from, to string) error {
	if err := os.Rename(filepath.Join(d.dir, from), filepath.Join(d.dir, to)); err != nil {
		return err
	}
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *folder) touch(name string, now time.Time) error {
	return os.Chtimes(filepath.Join(d.dir, name), now, now)
}

func (d *folder) close() error { return d.lock.Close() }
