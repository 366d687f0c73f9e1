package process

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// TerminationSignals are the signals that ask a process to end: an interrupt, the request of a
// supervisor, and a closed terminal, unless that one was switched off when the process
// started, as nohup does.
func TerminationSignals() []os.Signal {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	return ends
}

// Gone reports whether no process of this machine has a number, nor one that
// ended and was not yet waited for.
func Gone(pid int) bool { return pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// Escalates reports whether a signal after the first asks to end at once. A closed
// terminal may say so twice, through the kernel and through the shell.
func Escalates(s os.Signal) bool { return s != syscall.SIGHUP }
