package shmlink

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// seals are what a receiver demands: memory that its owner shrinks would end this
// process when it reads there.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// ErrClosed says that this end was closed.
var ErrClosed = errors.New("closed")

// memory is a mapping that is not unmapped while it is used.
type memory struct {
	mu    sync.RWMutex
	bytes []byte // nil: closed
}

// newMemory makes memory of size bytes and returns it with its descriptor, which the
// caller closes. All of it is there: writing does not fail for want of memory later.
func newMemory(size int) (m *memory, fd int, err error) {
	if fd, err = unix.MemfdCreate("gramme ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return nil, -1, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Fallocate(fd, 0, 0, int64(size)); err != nil {
		err = os.NewSyscallError("fallocate", err)
	} else if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		err = os.NewSyscallError("seal memory", err)
	} else {
		m, err = mapMemory(fd, size, unix.PROT_READ|unix.PROT_WRITE)
	}
	if err != nil {
		return nil, -1, errors.Join(err, unix.Close(fd))
	}
	return m, fd, nil
}

// openMemory maps the memory of a sender, to read.
func openMemory(fd, size int) (*memory, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, os.NewSyscallError("get seals", err)
	}
	if st.Size != int64(size) || have&seals != seals {
		return nil, fmt.Errorf("memory of %d bytes with seals %#x, not of %d with %#x", st.Size, have, size, seals)
	}
	return mapMemory(fd, size, unix.PROT_READ)
}

func mapMemory(fd, size, protection int) (*memory, error) {
	b, err := unix.Mmap(fd, 0, size, protection, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &memory{bytes: b}, nil
}

// use calls f with a part of the memory, which stays mapped until f returns.
func (m *memory) use(at, length int, f func(part []byte) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.bytes == nil {
		return ErrClosed
	}
	return f(m.bytes[at : at+length : at+length])
}

// close waits until nobody uses the memory, and unmaps it.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes != nil {
		_ = unix.Munmap(m.bytes) // cannot fail: it is a mapping
		m.bytes = nil
	}
}
