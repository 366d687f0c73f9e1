package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/runspec"
)

// workerBinary is the only program that is linked with libtorch.
const workerBinary = "gramme-worker"

// findBinaries finds the programs, and checks that the worker starts and has its device.
func (u *up) findBinaries(ctx context.Context, device string) (err error) {
	if u.gramme, err = hold("gramme"); err != nil {
		return exit.Wrap(exit.Resource, buildHint, err)
	}
	if u.worker, err = hold(workerBinary); err != nil {
		return exit.Wrap(exit.Resource, buildHint, err)
	}
	version, err := workerVersion(ctx, u.worker.Path)
	if err != nil {
		return err
	}
	if err := sameBuild(version); err != nil || device == runspec.DeviceCPU {
		return err
	}
	_, err = u.workerOutput(ctx, nil, "device", device)
	return err
}

// hold finds a program beside this one and keeps its present version: a build during the
// run does not affect it.
func hold(name string) (*process.Program, error) {
	path, err := process.SiblingProgram(name)
	if err != nil {
		return nil, err
	}
	return process.OpenProgram(path)
}

// versionWithin bounds the start of the worker's binary: libtorch may come from a slow
// disk.
const versionWithin = time.Minute

// workerVersion starts the worker's binary, which shows that libtorch is there,
// and asks for its version.
func workerVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionWithin, fmt.Errorf("no answer within %s", versionWithin))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", startFailure(path, "", context.Cause(ctx))
	}
	if err != nil {
		return "", startFailure(path, string(out), err)
	}
	f := strings.Fields(string(out))
	if len(f) == 0 {
		return "", fmt.Errorf("%s prints no version", path)
	}
	return f[len(f)-1], nil
}

// sameBuild demands a worker of this build: the run would not admit another, and would
// wait for ever.
func sameBuild(version string) error {
	if version != buildinfo.Version {
		return exit.Wrap(exit.Resource, buildHint, fmt.Errorf("%s has version %s, gramme has %s", workerBinary, version, buildinfo.Version))
	}
	return nil
}

// workerOutput runs the worker's binary and returns its output. Its errors keep their
// exit codes.
func (u *up) workerOutput(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, u.worker.Path, args...)
	cmd.Path, _ = u.worker.Executable()
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr, cmd.WaitDelay = process.Attributes(), time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, report, err := process.Output(cmd)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", args[0], context.Cause(ctx))
	}
	if err != nil && report != nil && report.Code != exit.OK {
		return nil, exit.Wrap(report.Code, report.Hint, fmt.Errorf("%s: %s", args[0], report.Error))
	}
	if err != nil { // the exit code of a crash says nothing
		text := cmp.Or(process.CrashLine(stderr.String()), lastError(stderr.String(), err))
		err := fmt.Errorf("%s: %s crashed: %s", args[0], workerBinary, text)
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return nil, exit.Wrap(exit.Resource, "memory may be short: check the memory limit of the container", err)
		}
		return nil, err
	}
	return out, nil
}

// lastError returns the error line of a child, or its last line.
func lastError(stderr string, err error) string {
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "error: "); ok {
			return text
		}
	}
	if text := strings.TrimSpace(stderr); text != "" {
		return text[strings.LastIndexByte(text, '\n')+1:]
	}
	return err.Error()
}
