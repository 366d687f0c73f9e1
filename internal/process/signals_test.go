package process

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

// TestEnds asks which signals end a process of a terminal, and one under nohup.
func TestEnds(t *testing.T) {
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
	if Escalates(syscall.SIGHUP) || !Escalates(syscall.SIGINT) || !Escalates(syscall.SIGTERM) {
		t.Error("only a hangup may come twice from one event")
	}
}
