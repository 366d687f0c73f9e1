package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// TestMain lets this binary be `gramme` for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gramme": func() { main() },
	})
}

// TestScripts runs the command line as a user does. Scripts that need libtorch
// or a cluster are in trials/clustertest.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.Getenv("WORK")) // no cache of this user
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "gzip": compress, "noise": noise, "begun": begun, "interrupts": interrupts,
		},
	})
}

// exits runs a command and asks for an exit code: exits 2 gramme audit
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended := (*exec.ExitError)(nil)
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

// compress replaces a file by a compressed one: gzip a.txt
func compress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gzip FILE")
	}
	text := ts.ReadFile(args[0])
	path := ts.MkAbs(args[0])
	f, err := os.Create(path + ".gz")
	ts.Check(err)
	w := gzip.NewWriter(f)
	_, err = w.Write([]byte(text))
	ts.Check(errors.Join(err, w.Close(), f.Close(), os.Remove(path)))
}

// noise writes a file of random bytes: noise FILE BYTES
func noise(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noise FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// begun makes the folder of a run of 100 steps that is not up, with checkpoints
// that their manifests fit: begun DIR [STEP...]
func begun(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: begun DIR [STEP...]")
	}
	spec, _, err := runspec.New()
	ts.Check(err)
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "scripted", 100, runspec.PrecisionF32, 1
	spec.Workers = runspec.Workers{Min: 1, Max: 2}
	ts.Check(spec.Complete())
	dir := rundir.Dir(ts.MkAbs(args[0]))
	ts.Check(dir.Make())
	ts.Check(spec.Write(dir.Spec()))
	for _, arg := range args[1:] {
		step, err := strconv.Atoi(arg)
		ts.Check(err)
		at := filepath.Join(dir.Checkpoints(), fmt.Sprintf("step-%010d", step))
		sum := sha256.Sum256([]byte("{}"))
		manifest, err := json.Marshal(checkpoint.Manifest{
			Version: 1, Run: spec.Run, Step: uint64(step), SpecHash: spec.Hash(),
			Files: map[string]checkpoint.File{"config.json": {SHA256: hex.EncodeToString(sum[:]), Bytes: 2}},
		})
		ts.Check(errors.Join(err, os.MkdirAll(at, 0o755),
			os.WriteFile(filepath.Join(at, "config.json"), []byte("{}"), 0o644), os.WriteFile(filepath.Join(at, "manifest.json"), manifest, 0o644)))
	}
}

// interrupts asks a command to end while it waits for a server that takes connections
// and says nothing, at MUTE: interrupts CODE COMMAND [ARGUMENT...]
func interrupts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupts CODE COMMAND [ARGUMENT...]")
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer mute.Close()
	came := make(chan struct{})
	go func() {
		var all []net.Conn
		for {
			c, err := mute.Accept()
			if err != nil {
				break
			}
			if all = append(all, c); len(all) == 1 {
				close(came)
			}
		}
		for _, c := range all {
			c.Close()
		}
	}()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "MUTE", mute.Addr().String())
	}
	path, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), ":")[0], args[1]))
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("WORK")}
	if at := ts.Getenv("GRAMME_ENDPOINT"); at != "" {
		cmd.Env = append(cmd.Env, "GRAMME_ENDPOINT="+strings.ReplaceAll(at, "MUTE", mute.Addr().String()))
	}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-came:
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		select {
		case <-ended:
		case <-time.After(time.Minute):
			ts.Check(cmd.Process.Kill())
			ts.Fatalf("it goes on after SIGTERM")
		}
	case err := <-ended:
		ts.Fatalf("it does not wait: %v", err)
	case <-time.After(time.Minute):
		ts.Check(cmd.Process.Kill())
		ts.Fatalf("it does not connect")
	}
	if want, err := strconv.Atoi(args[0]); err != nil || cmd.ProcessState.ExitCode() != want {
		ts.Fatalf("%s, not exit code %s", cmd.ProcessState, args[0])
	}
}
