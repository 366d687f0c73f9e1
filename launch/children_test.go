package launch

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestAStartThatFailsIsTriedAgain lets a worker's log be out of reach while it is started
// again.
func TestAStartThatFailsIsTriedAgain(t *testing.T) {
	x := newTrial(t)
	told := x.hears()
	x.begin()
	log := x.options.Dir.Log("w1")
	if err := errors.Join(os.Remove(log), os.Mkdir(log, 0o700)); err != nil {
		t.Fatal(err)
	}
	x.killed("w1")
	if text := <-told; !strings.HasPrefix(text, "start worker w1: ") {
		t.Errorf("%q is told", text)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	x.until("the worker is there again", func() bool { return len(x.pids("w1")) == 2 })
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// TestAReplacedProgramIsStartedAsItWas puts another program in the place of the worker's,
// and then none.
func TestAReplacedProgramIsStartedAsItWas(t *testing.T) {
	x := newTrial(t)
	path := x.path("worker")
	var err error
	if err := os.Link(x.options.Worker.Path, path); err != nil {
		b, err := os.ReadFile(x.options.Worker.Path) // on another file system
		if err = errors.Join(err, os.WriteFile(path, b, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if x.options.Worker, err = process.OpenProgram(path); err != nil {
		t.Fatal(err)
	}
	told := x.hears()
	x.begin()
	if err := errors.Join(x.write("another", "#!/bin/false\n"), os.Rename(x.path("another"), path), os.Chmod(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	x.killed("w1")
	if text := <-told; text != path+" was replaced; this run goes on with the program that it began with, the next with the new one" {
		t.Errorf("%q is told", text)
	}
	x.until("the worker is there again", func() bool { return len(x.pids("w1")) == 2 })
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", x.pids("w1")[1])); err != nil || !strings.HasPrefix(string(name), path+"\x00") {
		t.Errorf("it is called %q, %v", name, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	x.killed("w1")
	x.until("the worker is there once more", func() bool { return len(x.pids("w1")) == 3 })
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Errorf("it is told again: %q", <-told)
	}
}

// TestEndOfAServiceIsReported lets services end: by a signal and, until it is
// hopeless, for want of something.
func TestEndOfAServiceIsReported(t *testing.T) {
	x := newTrial(t)
	told := x.hears()
	x.begin()
	expect := func(want string) {
		t.Helper()
		if text := <-told; text != want {
			t.Errorf("%q is told, not %q", text, want)
		}
	}
	for _, role := range []string{wire.IDCheckpoint, wire.IDCoordinator} {
		x.killed(role)
		expect(role + " was killed and is started again")
	}
	if err := x.write(wire.IDCheckpoint+".code", "5"); err != nil {
		t.Fatal(err)
	}
	expect("checkpoint ended and is started again: checkpoint was told to end")
	if err := x.end(); exit.Code(err) != exit.Resource || !strings.Contains(err.Error(), "3 times in a row") {
		t.Error(err)
	}
}

// TestCrashIsReported lets processes crash with the code of bad usage, as Go programs do: they
// are started again, and the line that names the crash is told.
func TestCrashIsReported(t *testing.T) {
	x := newTrial(t)
	told := x.hears()
	x.begin()
	dump := "SIGSEGV: segmentation violation\nPC=0x47 m=0 sigcode=0\n\ngoroutine 1 [running]:\nrax    0x0\n"
	for id, name := range map[string]string{wire.IDCheckpoint: wire.IDCheckpoint, wire.IDCoordinator: wire.IDCoordinator, "w1": "worker w1"} {
		if err := x.write(id+".crash", dump); err != nil {
			t.Fatal(err)
		}
		if text := <-told; text != name+" crashed and is started again: SIGSEGV: segmentation violation" {
			t.Errorf("%q is told", text)
		}
		if err := os.Remove(x.path(id + ".crash")); err != nil {
			t.Fatal(err)
		}
		x.until(name+" is there again", func() bool {
			all := x.pids(id)
			return len(all) > 1 && !process.Gone(all[len(all)-1])
		})
	}
	x.stored()
	if err := x.end(); err != nil {
		t.Error(err)
	}
}

// TestOthersStoreWhenOneCannotLive lets a worker say that its input is at fault: the run
// ends with its words, after the others were asked to stop.
func TestOthersStoreWhenOneCannotLive(t *testing.T) {
	x := newTrial(t)
	x.options.Spec.Workers = runspec.Workers{Min: 2, Max: 2}
	x.begin()
	x.until("the other worker is there", func() bool { return len(x.pids("w2")) > 0 })
	x.status(wire.Status{State: wire.StateWaiting, Step: 1})
	if err := x.write("w2.code", "3"); err != nil {
		t.Fatal(err)
	}
	err := x.end()
	if exit.Code(err) != exit.Data || err.Error() != "worker w2 ended: w2 was told to end" {
		t.Errorf("code %d: %v", exit.Code(err), err)
	}
	if !strings.Contains(x.read("told"), `"stop"`) {
		t.Errorf("the coordinator was told %q", x.read("told"))
	}
	if len(x.pids("w1")) != 1 || !process.Gone(x.pids("w1")[0]) {
		t.Errorf("starts of the other worker: %v", x.pids("w1"))
	}
	if !strings.Contains(x.read("readings"), `"worker":"up"`) {
		t.Error("the ledger did not get what there was to get")
	}
}
