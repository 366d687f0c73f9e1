package meter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock takes a lock of the open file description: unlike flock it can be queried without
// taking it, so a reader never blocks an owner.
func lock(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrInUse
	}
	return err
}

// fileLock is a counterLock by a locked file whose content names the owner.
type fileLock struct {
	path string
	self holder
	file *os.File
	last holder // the other process, as it was last read
}

// newCounterLock returns the lock of counters in this boot of this host.
func newCounterLock(dir, bootID, name string, self holder) counterLock {
	return &fileLock{path: filepath.Join(dir, lockName(bootID, name)), self: self}
}

// lockName returns the name of a file that all processes of a host see.
func lockName(bootID, name string) string {
	return "gramme-meter-" + bootID + "-" + strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r < ' ' {
			return '-'
		}
		return r
	}, name)
}

// tryLock opens an existing file before it creates one: in a shared folder the kernel
// does not even let root create a file that already belongs to another user.
func (c *fileLock) tryLock() bool {
	f, err := os.OpenFile(c.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(c.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	}
	if err != nil {
		return false // the file, and so the counter, is another user's
	}
	if err := lock(f); err != nil {
		_ = f.Close() // it was not locked
		return false
	}
	c.file = f
	c.publish(nil, 0)
	return true
}

// publish writes the holder into the lock file. If that fails, others read a run without
// a name, which is charged for nothing of theirs.
func (c *fileLock) publish(covers []string, until int64) {
	if c.file == nil {
		return
	}
	c.self.Covers, c.self.Until = covers, until
	_ = overwrite(c.file, c.self)
}

// overwrite makes v the whole content of a file.
func overwrite(f *os.File, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(b, '\n'), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)) + 1)
}

func (c *fileLock) otherHolder() (holder, bool) {
	var now holder
	locked, read := readLocked(c.path, &now)
	if read {
		c.last = now
	}
	return c.last, locked // the earlier content, while the file is being written
}

// readLocked reads the first line of a file into v if a process has it locked.
func readLocked(path string, v any) (locked, read bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, false
	}
	defer f.Close()
	state := unix.Flock_t{Type: unix.F_RDLCK} // a read-only descriptor may query this type
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &state) != nil || state.Type == unix.F_UNLCK {
		return false, false
	}
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return true, false
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return true, json.Unmarshal(line, v) == nil
}

func (c *fileLock) release() {
	if c.file != nil {
		_ = c.file.Close() // ends the lock; its content means nothing any more
		c.file = nil
	}
}
