package meter

import (
	"errors"
	"io"
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

// fileClaim is a claim by a locked file that holds the name of the owner's run.
type fileClaim struct {
	path, run string
	held      *os.File
}

// newClaim returns the claim to a counter in this boot of this host.
func newClaim(dir, bootID, meter, run string) claim {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r < ' ' {
			return '-'
		}
		return r
	}, meter)
	return &fileClaim{path: filepath.Join(dir, "gramme-meter-"+bootID+"-"+clean), run: run}
}

func (c *fileClaim) take() bool {
	f, err := os.OpenFile(c.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return false // another user's: the counter is theirs
	}
	err = lock(f)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteString(c.run)
	}
	if err != nil {
		_ = f.Close() // nothing of it is claimed
		return false
	}
	c.held = f
	return true
}

func (c *fileClaim) theirs() bool {
	f, err := os.OpenFile(c.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	state := unix.Flock_t{Type: unix.F_RDLCK} // a descriptor for reading may ask for this
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &state) != nil || state.Type == unix.F_UNLCK {
		return false
	}
	run := make([]byte, len(c.run)+1)
	n, err := io.ReadFull(f, run)
	return errors.Is(err, io.ErrUnexpectedEOF) && string(run[:n]) == c.run
}

func (c *fileClaim) release() {
	if c.held != nil {
		_ = c.held.Close() // ends the lock; its content is nobody's any more
		c.held = nil
	}
}
