// Package process starts the processes of a run on this machine and makes sure
// that none outlives the process that started it.
//
// It guarantees, on Linux, that the kernel kills a child when its parent ends,
// however it ends; that a child gets no signal from the terminal, so that the
// parent decides what an interrupt means; and that the output of a child is in its log
// file. It tells an end that the child reports itself from a crash, whatever the exit
// code. It does not restart: the owner of the process decides.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gramme-project/gramme/internal/exit"
)

// Command describes a process to start.
type Command struct {
	ID   string   // of the process in its run
	Name string   // for people: "worker w1"
	Path string   // of the executable
	Held *Program // instead of the file that is at Path now; nil: that file
	Args []string // without the name of the program
	Env  []string // added to the parent's environment
	Log  string   // file that its output is appended to
}

// Process is a child that was started.
type Process struct {
	Command
	PID    int
	proc   *os.Process
	from   int64 // where its part of the log begins
	ended  chan struct{}
	err    error
	report *exit.Report
	peak   int64 // most memory that it held, in bytes
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
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	if c.Held != nil {
		cmd.Path, _ = c.Held.Executable()
	}
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = Attributes()
	report, err := reporting(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	err = cmd.Start()
	report.started()
	if err != nil {
		report.read()
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Command: c, PID: cmd.Process.Pid, proc: cmd.Process, from: info.Size(), ended: make(chan struct{})}
	go func() { // ends with the child
		defer close(p.ended)
		p.err = cmd.Wait()
		p.report = report.read()
		p.peak = peak(cmd.ProcessState)
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

// Signal sends a signal; a child that has ended already is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Kill ends the child at once, also if it is stopped.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// SiblingProgram returns the path of an executable that lies in the folder of this one.
func SiblingProgram(name string) (string, error) {
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

// ShowName lets tools that list processes call this one by the name that it was started
// with: the file may have been another path.
func ShowName() {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0) // for people; only Linux has it
}
