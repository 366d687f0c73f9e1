package torch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// nameThread names this OS thread. Only people read the name, so it does not matter if the
// system refuses it.
func nameThread(name string) {
	text, err := unix.BytePtrFromString(name)
	if err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0)
	}
}
