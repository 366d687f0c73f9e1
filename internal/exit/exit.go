// Package exit gives errors the exit code and the hint that the command line
// shows. Codes are part of the contract with scripts: docs/exit-codes.md.
//
// Any layer may attach a code with Wrap. The outermost code counts, because the
// caller knows better than the callee what a failure means for the command; so
// does the outermost hint.
package exit

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

// Exit codes.
const (
	OK          = 0
	Failure     = 1   // the run failed
	Usage       = 2   // bad flags, arguments or configuration
	Data        = 3   // bad input data: the corpus
	Verify      = 4   // a verification failed
	Resource    = 5   // disk full, port in use, out of memory, libtorch missing
	Diverged    = 6   // the training diverged, and the run was stopped for it
	Interrupted = 130 // interrupted twice: ended without a checkpoint
)

// Error is an error with an exit code and perhaps a hint: what to do about it,
// in one line.
type Error struct {
	Code int
	Err  error
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Wrap attaches a code and a hint to err; a nil err stays nil.
func Wrap(code int, hint string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err, Hint: hint}
}

// Code returns the exit code of an error. One without a code of its own is a
// Failure, unless the system's own error says that something ran out.
func Code(err error) int {
	if err == nil {
		return OK
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	if scarce(err) != "" {
		return Resource
	}
	return Failure
}

// Hint returns the hint of an error, or "".
func Hint(err error) string {
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Hint != "" {
			return e.Hint
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the logs of the run name the service that did not answer"
	}
	return scarce(err)
}

// Report is a process's account of its own end: the error that its command line shows.
type Report struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// ReportOf is the report of an error.
func ReportOf(err error) Report {
	if err == nil {
		return Report{}
	}
	return Report{Code: Code(err), Error: err.Error(), Hint: Hint(err)}
}

// scarce names the resource that ran out.
func scarce(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some disk space and run the same command again: it continues"
	case errors.Is(err, syscall.EFBIG):
		return "a limit on the size of files is in the way: lift it with `ulimit -f unlimited`"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process uses that port: choose another, or stop it"
	case errors.Is(err, syscall.ENOMEM):
		return "not enough memory: fewer workers, a smaller model or a smaller batch.rows"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many open files: raise the limit with `ulimit -n 4096`"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "check the owner and the permissions of the folder"
	case forked(err) && errors.Is(err, syscall.EAGAIN):
		return "too few processes and threads are allowed: raise pids.max of the container, or `ulimit -u`"
	}
	return ""
}

// forked reports whether it was a process that could not be started: EAGAIN has many
// meanings.
func forked(err error) bool {
	e := (*fs.PathError)(nil)
	return errors.As(err, &e) && e.Op == "fork/exec"
}
