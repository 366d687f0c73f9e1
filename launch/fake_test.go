package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestMain is the tests, or, where Run starts this program as one of its
// processes, a stand-in for that: what it does lies in files of the run's folder.
func TestMain(m *testing.M) {
	if len(os.Args) < 6 || os.Args[2] != "--run" {
		os.Exit(m.Run())
	}
	parent := process.OpenReporter()
	code, err := standIn{stage: stage(os.Args[3]), id: os.Args[5]}.run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		err = parent.Send(exit.Report{Code: code, Error: err.Error()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// patience bounds every wait: it is never reached unless something hangs.
const patience = 5 * time.Minute

// stage is the folder of a run with its stand-ins.
type stage string

func (s stage) path(name string) string { return filepath.Join(string(s), "stage", name) }

func (s stage) read(name string) string {
	b, _ := os.ReadFile(s.path(name)) // what is not there says nothing
	return string(b)
}

// write changes a file at once.
func (s stage) write(name, text string) error {
	if err := os.WriteFile(s.path("."+name), []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(s.path("."+name), s.path(name))
}

func (s stage) add(name, text string) error {
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// standIn is a process of the run. It begins by adding its process ID to a file
// of its name. The files that direct it:
//
//	NAME.code    it ends with this exit code, and reports it
//	NAME.kill    it is killed, as the kernel does for want of memory
//	NAME.crash   it prints this and ends, as a Go program crashes
//	NAME.deaf    it does not end when it is asked to
//	status       what a coordinator answers
//	refusal      why a coordinator does not do what it is asked to
//
// and those that it writes: told, what a coordinator was asked for; readings, what
// a checkpoint service took; asked, which were asked to end and did not.
type standIn struct {
	stage
	id string
}

func (p standIn) run(what string) (int, error) {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	e, err := endpoint.FromEnviron(os.Environ())
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := e.DialBus(ctx, p.id)
	if err != nil {
		return 1, err
	}
	defer conn.Close()
	subjects := wire.SubjectsOf(e.Run)
	for subject, answer := range map[string]func(body []byte) (wire.Reply, error){
		wire.IDCoordinator + " " + subjects.Status(): func([]byte) (wire.Reply, error) {
			return wire.Reply{Result: json.RawMessage(p.read("status"))}, nil
		},
		wire.IDCoordinator + " " + subjects.Control(): func(body []byte) (wire.Reply, error) {
			return wire.Reply{Error: p.read("refusal")}, p.add("told", string(body)+"\n")
		},
		wire.IDCheckpoint + " " + subjects.SnapshotInfo(wire.IDCheckpoint): func([]byte) (wire.Reply, error) {
			return wire.Reply{}, nil
		},
		wire.IDCheckpoint + " " + subjects.Readings(): func(body []byte) (wire.Reply, error) {
			return wire.Reply{}, p.add("readings", string(body)+"\n")
		},
	} {
		subject, mine := strings.CutPrefix(subject, what+" ")
		if !mine {
			continue
		}
		if _, err := bus.Subscribe(conn, subject, func(m *bus.Message) { // until the process ends
			reply, err := answer(m.Data)
			if err != nil {
				reply.Error = err.Error()
			}
			if b, err := wire.Encode(reply); err == nil {
				_ = m.Respond(bus.Message{Data: b}) // the one that asked will notice
			}
		}); err != nil {
			return 1, err
		}
	}
	if err := errors.Join(conn.Flush(ctx), p.add(p.id, fmt.Sprintln(os.Getpid()))); err != nil {
		return 1, err
	}
	for {
		select {
		case <-terminate:
			if _, err := os.Stat(p.path(p.id + ".deaf")); errors.Is(err, fs.ErrNotExist) {
				return 0, nil
			}
			if err := p.add("asked", p.id+"\n"); err != nil {
				return 1, err
			}
		case <-time.After(5 * time.Millisecond):
			if p.read(p.id+".kill") != "" {
				if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
					return 1, err
				}
			}
			if text := p.read(p.id + ".crash"); text != "" {
				fmt.Fprint(os.Stderr, text)
				os.Exit(2)
			}
			if text := p.read(p.id + ".code"); text != "" {
				code, err := strconv.Atoi(text)
				return code, errors.Join(err, errors.New(p.id+" was told to end"))
			}
		case <-ctx.Done():
			return 1, ctx.Err()
		}
	}
}

// trial is one call of Run with stand-ins.
type trial struct {
	*testing.T
	stage
	options    Options
	stop, kill chan struct{}
	ended      chan error
}

// newTrial makes the folder of a run of three steps and one worker.
func newTrial(t *testing.T) *trial {
	t.Helper()
	dir, err := os.MkdirTemp("", "local") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	x := &trial{T: t, stage: stage(dir), stop: make(chan struct{}), kill: make(chan struct{}), ended: make(chan error, 1)}
	if err := errors.Join(rundir.Dir(dir).Make(), os.Mkdir(x.path(""), 0o700)); err != nil {
		t.Fatal(err)
	}
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "r", 3, runspec.PrecisionF32, 1
	spec.Workers = runspec.Workers{Min: 1, Max: 1}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := process.OpenProgram(self)
	if err != nil {
		t.Fatal(err)
	}
	x.options = Options{
		Dir: rundir.Dir(dir), Spec: spec, Gramme: program, Worker: program, Log: zap.NewNop(), Stop: x.stop, Kill: x.kill,
	}
	x.status(wire.Status{State: wire.StateTraining, Step: 1})
	return x
}

// status is what coordinators answer from now on.
func (x *trial) status(s wire.Status) {
	x.Helper()
	b, err := json.Marshal(s)
	if err == nil {
		err = x.write("status", string(b))
	}
	if err != nil {
		x.Error(err)
	}
}

// hears returns what is told from now on, but for the waits that only a slow machine has.
func (x *trial) hears() <-chan string {
	told := make(chan string, 100)
	x.options.Tell = func(text string) {
		if !strings.HasPrefix(text, "waiting for ") {
			told <- text
		}
	}
	return told
}

// begin calls Run and returns when all of its processes are there.
func (x *trial) begin() {
	x.Helper()
	go func() { x.ended <- Run(x.Context(), x.options) }()
	for _, id := range []string{wire.IDCheckpoint, wire.IDCoordinator, "w1"} {
		x.until(id+" is there", func() bool { return len(x.pids(id)) > 0 })
	}
}

// stored makes the checkpoint of the last step, and lets the worker end with it.
func (x *trial) stored() {
	x.Helper()
	err := os.MkdirAll(filepath.Join(x.options.Dir.Checkpoints(), "step-0000000003"), 0o700)
	if err == nil {
		err = x.write("w1.code", "0")
	}
	if err != nil {
		x.Error(err)
	}
}

func (x *trial) until(what string, holds func() bool) {
	x.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			x.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// pids are those of all starts of a process.
func (x *trial) pids(id string) (all []int) {
	for line := range strings.Lines(x.read(id)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// killed ends the newest start of a process.
func (x *trial) killed(id string) {
	x.Helper()
	all := x.pids(id)
	if err := syscall.Kill(all[len(all)-1], syscall.SIGKILL); err != nil {
		x.Error(err)
	}
}

// end is what Run returned.
func (x *trial) end() error {
	x.Helper()
	select {
	case err := <-x.ended:
		return err
	case <-time.After(patience):
		x.Fatalf("Run does not return within %s", patience)
		return nil
	}
}
