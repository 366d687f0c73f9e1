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

// OnTermination calls f at each signal that asks this process to end, with its number from 1 on, one
// at a time, until the returned function is called; that waits for f. A closed terminal may
// say so twice, through the kernel and through the shell, and counts only as the first.
func OnTermination(f func(n int)) (stop func()) {
	came, quit, ended := make(chan os.Signal, 4), make(chan struct{}), make(chan struct{})
	signal.Notify(came, TerminationSignals()...)
	go func() {
		defer close(ended)
		for n := 1; ; {
			select {
			case <-quit:
				return
			case s := <-came:
				if n == 1 || s != syscall.SIGHUP {
					f(n)
					n++
				}
			}
		}
	}()
	return func() {
		signal.Stop(came)
		close(quit)
		<-ended
	}
}
