package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/runspec"
)

// TestMain lets this binary be `gramme` for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gramme": func() { os.Exit(run(os.Args[1:])) },
	})
}

// TestScripts runs the command line as a user does. What needs libtorch or a
// cluster is in internal/clustertest.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.Getenv("WORK")) // no cache of this user
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "gzip": compress, "noise": noise, "begun": begun,
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
// that are there by name: begun DIR [STEP...]
func begun(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: begun DIR [STEP...]")
	}
	spec, _, err := runspec.New()
	ts.Check(err)
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "scripted", 100, runspec.PrecisionF32, 1
	ts.Check(spec.Complete())
	dir := rundir.Dir(ts.MkAbs(args[0]))
	ts.Check(dir.Make())
	ts.Check(spec.Write(dir.Spec()))
	for _, arg := range args[1:] {
		step, err := strconv.Atoi(arg)
		ts.Check(err)
		ts.Check(os.MkdirAll(filepath.Join(dir.Checkpoints(), fmt.Sprintf("step-%010d", step)), 0o755))
	}
}
