package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestCodeAndHint(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	fork := &os.PathError{Op: "fork/exec", Path: "x", Err: syscall.EAGAIN}
	data := Wrap(Data, "give text", errors.New("corpus is empty"))
	for _, c := range []struct {
		name string
		err  error
		code int
		hint string
	}{
		{"none", nil, OK, ""},
		{"plain", errors.New("x"), Failure, ""},
		{"wrapped", data, Data, "give text"},
		{"wrapped and annotated", fmt.Errorf("up: %w", data), Data, "give text"},
		{"the outermost code and hint", Wrap(Usage, "other", data), Usage, "other"},
		{"a code without a hint keeps the inner hint", Wrap(Usage, "", data), Usage, "give text"},
		{"disk full", fmt.Errorf("save: %w", full), Resource, scarce(full)},
		{"port in use", fmt.Errorf("listen: %w", syscall.EADDRINUSE), Resource, scarce(syscall.EADDRINUSE)},
		{"disk full in two failures", errors.Join(errors.New("x"), full), Resource, scarce(full)},
		{"a file larger than allowed", fmt.Errorf("save: %w", syscall.EFBIG), Resource, scarce(syscall.EFBIG)},
		{"no more processes", fmt.Errorf("start: %w", fork), Resource, scarce(fork)},
		{"busy for a moment", fmt.Errorf("read: %w", syscall.EAGAIN), Failure, ""},
		{"deadline", context.DeadlineExceeded, Failure, "the logs of the run name the service that did not answer"},
	} {
		if got := Code(c.err); got != c.code {
			t.Errorf("%s: code %d, want %d", c.name, got, c.code)
		}
		if got := Hint(c.err); got != c.hint {
			t.Errorf("%s: hint %q, want %q", c.name, got, c.hint)
		}
	}
	if scarce(full) == "" || scarce(syscall.EADDRINUSE) == "" {
		t.Error("what ran out has no hint")
	}
	if Wrap(Usage, "x", nil) != nil {
		t.Error("a nil error became one")
	}
	if !errors.Is(data, data) || data.Error() != "corpus is empty" {
		t.Errorf("message %q", data)
	}
}
