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

// lockFolder locks a folder for this process until it is closed or the process
// ends. The folder itself is locked: no file stays behind.
func lockFolder(path string) (io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Locks of open file descriptions: unlike flock they can be asked about without
// being taken, so that whoever only looks is never in the way of an owner.
func lock(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrInUse
	}
	return err
}

// fileClaim is a claim by a locked file that says who the owner is.
type fileClaim struct {
	path string
	self holder
	held *os.File
	last holder // another process, as it was read last
}

// newClaim returns the claim to counters in this boot of this host.
func newClaim(dir, bootID, name string, self holder) claim {
	return &fileClaim{path: filepath.Join(dir, lockName(bootID, name)), self: self}
}

// lockName is the name of a file that is seen by all processes of a host.
func lockName(bootID, name string) string {
	return "gramme-meter-" + bootID + "-" + strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r < ' ' {
			return '-'
		}
		return r
	}, name)
}

// take opens a file that is there before it makes one: in a folder for all, the
// kernel lets not even root make a file that is another user's already.
func (c *fileClaim) take() bool {
	f, err := os.OpenFile(c.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(c.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	}
	if err != nil {
		return false // another user's: the counter is theirs
	}
	if err := lock(f); err != nil {
		_ = f.Close() // nothing of it is claimed
		return false
	}
	c.held = f
	c.say(nil, 0)
	return true
}

// say writes who holds the lock. Should it fail, then others read of a run without
// a name, which counts nothing of theirs.
func (c *fileClaim) say(covers []string, until int64) {
	if c.held == nil {
		return
	}
	c.self.Covers, c.self.Until = covers, until
	_ = overwrite(c.held, c.self)
}

// overwrite makes v the whole of a file.
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

func (c *fileClaim) holder() (holder, bool) {
	var now holder
	locked, read := readLocked(c.path, &now)
	if read {
		c.last = now
	}
	return c.last, locked // what it was before, while it is being written
}

// readLocked reads the first line of a file into v if a process has it locked.
func readLocked(path string, v any) (locked, read bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, false
	}
	defer f.Close()
	state := unix.Flock_t{Type: unix.F_RDLCK} // a descriptor for reading may ask for this
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

func (c *fileClaim) release() {
	if c.held != nil {
		_ = c.held.Close() // ends the lock; its content is nobody's any more
		c.held = nil
	}
}
