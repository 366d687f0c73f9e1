package meter

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

// logFile is the name of the write-ahead log in its folder.
const logFile = "readings.wal"

// ErrInUse says that another process uses a log.
var ErrInUse = vfs.ErrLocked

// lockWithin is how long a process waits for its log, which SendPending may hold.
const lockWithin = 2 * time.Second

// wal writes the log. After a failure nothing can be appended, since the end of the file
// is unknown: the whole log has to be rewritten.
type wal struct {
	folder *folder
	file   vfs.File
	size   int
	broken bool
}

// rewrite replaces the log, atomically and durably.
func (w *wal) rewrite(log []byte) error {
	w.broken = true
	f, err := w.folder.create(logFile + ".new")
	if err != nil {
		return err
	}
	size, err := write(f, log)
	if err == nil {
		err = w.folder.rename(logFile+".new", logFile)
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
	return errors.Join(err, w.folder.close())
}

func write(f vfs.File, b []byte) (size int, err error) {
	if size, err = f.Write(b); err != nil {
		return size, err
	}
	return size, f.Sync()
}

// folder is the folder of a log.
type folder struct {
	fsys vfs.FS
	dir  string
	lock vfs.File
}

// openFolder locks the folder of a log until it is closed: two processes with one log
// would lose each other's records. The folder itself is locked, so no file stays behind.
func openFolder(fsys vfs.FS, dir string) (*folder, error) {
	if err := vfs.MkdirAll(fsys, dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := vfs.Lock(fsys, dir, lockWithin)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return &folder{fsys, dir, lock}, nil
}

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

// read returns a file and when it was last written or touched; nothing for a missing
// file.
func (d *folder) read(name string) ([]byte, time.Time, error) {
	b, err := vfs.ReadFile(d.fsys, d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := d.fsys.Stat(d.path(name))
	if err != nil {
		return nil, time.Time{}, err
	}
	return b, info.ModTime(), nil
}

func (d *folder) create(name string) (vfs.File, error) { return vfs.Create(d.fsys, d.path(name)) }

// rename replaces a file by another, durably.
func (d *folder) rename(from, to string) error { return vfs.Commit(d.fsys, d.path(from), d.path(to)) }

func (d *folder) touch(name string, now time.Time) error {
	return d.fsys.Chtimes(d.path(name), now, now)
}

func (d *folder) close() error { return d.lock.Close() }
