package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/cachedir"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// keptChoice is a kind of choice that this machine keeps for the next runs.
type keptChoice[C fmt.Stringer] struct {
	kind  string // the folder in the cache
	about string // what the choice depends on
	brief bool   // not to be kept from a moment in which the machine is busy with other work
	read  func(path string) (*C, error)
	write func(path string, c C) error
}

// find returns the choice that this machine keeps, or chooses and keeps that. It tells the
// user.
func (k keptChoice[C]) find(u *up, choose func() (C, error)) (C, error) {
	place, noPlace := k.file()
	if noPlace == nil {
		if c, err := k.read(place); err == nil && c != nil { // if it cannot be read, measure again
			fmt.Fprintf(u.err, "%s; measured on this machine earlier (%s)\n", *c, place)
			return *c, nil
		}
	}
	busy := k.brief && u.busy()
	c, err := choose()
	if err != nil {
		return c, err
	}
	fmt.Fprintln(u.err, c)
	if busy {
		return c, nil
	}
	if noPlace == nil {
		noPlace = os.MkdirAll(filepath.Dir(place), 0o755)
	}
	if noPlace == nil {
		noPlace = k.write(place, c)
	}
	if noPlace != nil { // this run's own folder holds it in any case
		fmt.Fprintf(u.err, "note: the choice is not saved for other runs: %v\n", noPlace)
	}
	return c, nil
}

// file is where the choice is kept.
func (k keptChoice[C]) file() (string, error) {
	cache, err := cachedir.Find()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(k.about))
	return filepath.Join(cache, k.kind, hex.EncodeToString(sum[:8])), nil
}

// aboutMachine says on what a measured speed depends: the shape of the model and of a
// micro-batch, the build and the processor.
func aboutMachine(spec runspec.Spec) string {
	return fmt.Sprintf("%s\n%+v\n%d %d %s\n%s", buildinfo.Version, spec.ModelConfig(spec.VocabSize), spec.Batch.Rows, spec.MaxSeq, spec.Device, processor())
}

// processor is the kind of processor, as far as the system tells.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	var kind []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "model name") || strings.HasPrefix(line, "flags") {
			kind = append(kind, line)
		}
		if len(kind) == 2 {
			break
		}
	}
	return strings.Join(kind, "")
}

func seconds(s number.Float) time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// choice is what a measurement chose for a run.
type choice struct {
	keys []string // that it settled
	text string   // the choice and its reason
}

// choices returns what measurements chose for a run, as far as its settings are still so.
func choices(dir rundir.Dir, spec runspec.Spec) (all []choice) {
	if c, err := runspec.ReadPrecisionChoice(dir.Precision()); err == nil && c != nil && c.Precision == spec.Precision {
		all = append(all, choice{[]string{"precision"}, c.String()})
	}
	if c, err := runspec.ReadLayoutChoice(dir.Layout()); err == nil && c != nil && c.Workers == spec.Workers.Max && c.Threads == spec.Threads {
		all = append(all, choice{[]string{"workers", "threads"}, c.String()})
	}
	return all
}
