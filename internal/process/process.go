// Package process starts the processes of a run on this machine and makes sure
// that none outlives the process that started it.
//
// It guarantees, on Linux, that the kernel kills a child when its parent ends,
// however it ends; that a child gets no signal from the terminal, so that the
// parent decides what an interrupt means; and that what a child prints is in its
// log file. It does not restart: who owns the process decides.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Command says what to start.
type Command struct {
	Name string   // for people: "worker w1"
	Path string   // of the executable
	Args []string // without the name of the program
	Env  []string // added to the parent's environment
	Log  string   // file that its output is appended to
}

// Process is a child that was started.
type Process struct {
	Command
	PID   int
	proc  *os.Process
	ended chan struct{}
	err   error
}

// Starter starts children from one OS thread that lives as long as it does: the
// kernel kills the children of a thread that asked for it when the thread ends.
type Starter struct {
	calls chan func()
	ended chan struct{}
}

// NewStarter returns a Starter; Close ends its thread, after the children did.
func NewStarter() *Starter {
	s := &Starter{calls: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		runtime.LockOSThread()
		for call := range s.calls {
			call()
		}
	}()
	return s
}

// Close ends the thread. Children that still live are killed with it.
func (s *Starter) Close() {
	close(s.calls)
	<-s.ended
}

// Start starts a child.
func (s *Starter) Start(c Command) (*Process, error) {
	var p *Process
	var err error
	done := make(chan struct{})
	s.calls <- func() {
		defer close(done)
		p, err = start(c)
	}
	<-done
	return p, err
}

func start(c Command) (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = Attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Command: c, PID: cmd.Process.Pid, proc: cmd.Process, ended: make(chan struct{})}
	go func() { // ends with the child
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// Ended is closed when the child has ended; Err then says how.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err returns nil after exit code 0.
func (p *Process) Err() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", p.Name, p.err)
}

// ExitCode is that of a child that has ended; -1 if a signal ended it.
func (p *Process) ExitCode() int {
	if p.err == nil {
		return 0
	}
	if e := (*exec.ExitError)(nil); errors.As(p.err, &e) {
		return e.ExitCode()
	}
	return -1
}

// Killed reports whether somebody, or the system for want of memory, killed the
// child with SIGKILL.
func (p *Process) Killed() bool {
	e := (*exec.ExitError)(nil)
	if !errors.As(p.err, &e) {
		return false
	}
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Signal sends a signal; a child that has ended already is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Kill ends the child at once, also if it is stopped.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// LastWords returns the last lines of a log file, for an error message: from the
// last error that the child has reported, if it has.
func LastWords(log string, lines int) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	all := strings.Split(string(bytes.TrimSpace(b)), "\n")
	for i, line := range slices.Backward(all) {
		if strings.HasPrefix(line, "error: ") { // what it ended with, and a hint
			all = all[i:]
			break
		}
	}
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Beside returns the path of an executable that lies in the folder of this one.
func Beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find %s beside %s: %w", name, self, err)
	}
	return path, nil
}
