//go:build unix

package process

import (
	"os/signal"
	"syscall"
)

// usualStack is the stack that systems give a thread; libtorch counts on no less.
const usualStack = 8 << 20

// FixInherited corrects inherited settings with which a program cannot work: a umask
// that keeps the owner from its own files, a signal in place of an
// error where a file reaches the limit of its size, and, for children, a stack that
// is too small, as far as the limit may be raised.
func FixInherited() {
	const owner = 0o700
	syscall.Umask(syscall.Umask(owner) &^ owner)
	signal.Ignore(syscall.SIGXFSZ)
	var stack syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &stack); err == nil && stack.Cur < usualStack {
		stack.Cur = min(usualStack, stack.Max)
		_ = syscall.Setrlimit(syscall.RLIMIT_STACK, &stack) // else it stays as it was
	}
}
