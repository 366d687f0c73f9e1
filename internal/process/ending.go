package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/internal/exit"
)

// Ending says how a child that has ended did so.
func (p *Process) Ending() exit.Ending {
	e := exit.Ending{Peak: p.peak}
	var status syscall.WaitStatus
	if exited := (*exec.ExitError)(nil); errors.As(p.err, &exited) {
		status, _ = exited.Sys().(syscall.WaitStatus)
	}
	switch {
	case p.err == nil:
		e.Manner = exit.Succeeded
	case p.report != nil && p.report.Code != 0 && !status.Signaled():
		e.Manner, e.Report, e.Words = exit.Reported, *p.report, p.report.Error
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		e.Manner, e.Words = exit.Killed, "SIGKILL: killed"
	default:
		e.Manner, e.Words = exit.Crashed, CrashLine(p.output())
		if e.Words == "" && status.Signaled() {
			e.Words = describe(status.Signal())
		}
		if e.Words == "" {
			e.Words = fmt.Sprintf("it ended with code %d and did not say why", status.ExitStatus())
			if words := plain(strings.Split(p.output(), "\n")); len(words) > 0 {
				e.Words = fmt.Sprintf("code %d: %s", status.ExitStatus(), strings.TrimPrefix(words[len(words)-1], "error: "))
			}
		}
	}
	return e
}

// output is the output of this child.
func (p *Process) output() string { return readFrom(p.Log, p.from) }

// describe names a signal as the Go runtime does.
func describe(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name + ": " + s.String()
	}
	return fmt.Sprintf("signal %d: %s", int(s), s)
}

// peak is the most memory that a child held.
func peak(state *os.ProcessState) int64 {
	if used, ok := state.SysUsage().(*syscall.Rusage); ok && used != nil {
		return int64(used.Maxrss) << 10
	}
	return 0
}
