package process

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

// TestTerminationSignals asks which signals end a process of a terminal, and one under nohup.
func TestTerminationSignals(t *testing.T) {
	defer signal.Reset(syscall.SIGHUP)
	for _, ignored := range []bool{true, false} {
		if ignored {
			signal.Ignore(syscall.SIGHUP)
		} else { // a handler replaces the setting with which this process was started
			signal.Notify(make(chan<- os.Signal, 1), syscall.SIGHUP)
		}
		ends := TerminationSignals()
		if got := slices.Contains(ends, os.Signal(syscall.SIGHUP)); got == ignored {
			t.Errorf("hangup ignored %v, ends %v", ignored, ends)
		}
		if !slices.Contains(ends, os.Interrupt) || !slices.Contains(ends, os.Signal(syscall.SIGTERM)) {
			t.Errorf("ends %v", ends)
		}
	}
}

// TestOnTermination counts signals. Only a hangup may come twice from one event.
func TestOnTermination(t *testing.T) {
	numbers := make(chan int)
	stop := OnTermination(func(n int) { numbers <- n })
	want := 0
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		if s == syscall.SIGHUP {
			continue
		}
		if want++; <-numbers != want {
			t.Errorf("%s has another number than %d", s, want)
		}
	}
	stop()
}
