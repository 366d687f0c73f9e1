package torch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// nameThread names this OS thread. A name is for people: one that is refused is none.
func nameThread(name string) {
	text, err := unix.BytePtrFromString(name)
	if err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0)
	}
}
