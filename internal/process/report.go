package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
)

// A runtime that crashes uses the same exit codes as a program that ends in order (Go 2,
// libgomp and many others 1), so that a code alone tells nothing. A child that ends by
// itself with an error says so in a pipe, just before.

// reportVariable names the file descriptor that a report goes to.
const reportVariable = "GRAMME_EXIT_REPORT"

// mostReport bounds a report: as long as it fits into a pipe's buffer, neither side
// waits for the other.
const mostReport = 4096

// Reporter sends reports from a child to the process that started it. Its zero value is
// for a process without a listener.
type Reporter struct{ pipe *os.File }

// OpenReporter takes over the pipe that Start gave this process. Call it once, before
// anything else: children of this process must not write there.
func OpenReporter() *Reporter {
	text, given := os.LookupEnv(reportVariable)
	if !given {
		return &Reporter{}
	}
	if err := os.Unsetenv(reportVariable); err != nil {
		return &Reporter{}
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd <= 2 {
		return &Reporter{}
	}
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil || info.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return &Reporter{} // it came down from a process further up
	}
	syscall.CloseOnExec(fd)
	return &Reporter{os.NewFile(uintptr(fd), "exit report")}
}

// Supervised reports whether another process waits for the end of this one.
func (r *Reporter) Supervised() bool { return r.pipe != nil }

// Send says how this process is about to end.
func (r *Reporter) Send(report exit.Report) error {
	if r.pipe == nil {
		return nil
	}
	b, err := json.Marshal(report)
	for err == nil && len(b) > mostReport {
		// A letter takes up to six bytes in JSON.
		report.Error, report.Hint = head(report.Error, len(report.Error)/2), head(report.Hint, 200)
		b, err = json.Marshal(report)
	}
	if err == nil {
		_, err = r.pipe.Write(b)
	}
	if err = errors.Join(err, r.pipe.Close()); err != nil {
		return fmt.Errorf("report the end to the parent: %w", err)
	}
	return nil
}

func head(s string, n int) string { return s[:min(n, len(s))] }

// reportWithin bounds the wait for a report of a child that has ended: its own children
// may still hold the pipe.
const reportWithin = time.Second

// listener is the parent's side.
type listener struct{ from, to *os.File }

// reporting lets a command that is yet to be started report its end.
func reporting(cmd *exec.Cmd) (l listener, err error) {
	if l.from, l.to, err = os.Pipe(); err != nil {
		return l, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, l.to)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", reportVariable, 2+len(cmd.ExtraFiles)))
	return l, nil
}

// started closes the child's side, which that has now.
func (l listener) started() { _ = l.to.Close() } // nothing was written to it here

// read reads the report that a child which has ended left in its pipe, if there is one.
func (l listener) read() *exit.Report {
	defer l.from.Close()
	return readReport(l.from)
}

// Output runs a command whose environment is set, and returns its output and, if it
// ended by itself with an error, its report of that.
func Output(cmd *exec.Cmd) ([]byte, *exit.Report, error) {
	report, err := reporting(cmd)
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.Output()
	report.started()
	return out, report.read(), err
}

func readReport(pipe *os.File) *exit.Report {
	if err := pipe.SetReadDeadline(time.Now().Add(reportWithin)); err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(pipe, mostReport)) // half a report is none
	var report exit.Report
	if json.Unmarshal(b, &report) != nil {
		return nil
	}
	return &report
}
