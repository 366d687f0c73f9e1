package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/runspec"
)

// efficiency is the share of a run's time in which it trains as fast as it was measured;
// the rest is the start, checkpoints, and workers that wait for each other.
const efficiency = 0.85

// measureWithin bounds a measurement, which takes seconds, or a minute for a large
// model.
const measureWithin = 10 * time.Minute

// calibrate settles what measurements of this machine settle: the precision, the number
// of workers and threads and, with --minutes, the number of steps.
func (u *up) calibrate(ctx context.Context, spec *runspec.Spec) error {
	cores := machine.Cores()
	auto := settleLayout(spec, cores)
	if auto {
		spec.Workers, spec.Threads = runspec.Workers{Min: 1, Max: 1}, cores
	}
	if !auto && spec.Precision != runspec.PrecisionAuto && u.minutes == 0 {
		return nil
	}
	file := filepath.Join(u.dir.Logs(), "calibration.yaml")
	defer os.Remove(file)
	if err := spec.Write(file); err != nil {
		return err
	}
	if spec.Precision == runspec.PrecisionAuto {
		if err := u.choosePrecision(ctx, file, spec, auto); err != nil {
			return err
		}
	}
	if auto {
		if err := u.chooseLayout(ctx, file, spec, cores); err != nil {
			return err
		}
	}
	if u.minutes == 0 {
		return nil
	}
	layout := runspec.Layout{Workers: spec.Workers.Max, Threads: spec.Threads}
	fmt.Fprintf(u.err, "measuring the speed of %s\n", layout)
	found, err := u.measure(ctx, file, layout, spec.Precision)
	if err != nil {
		return err
	}
	step := timing(*spec, layout, found).Step
	spec.Steps = uint64(max(1, u.minutes*60*efficiency/float64(step)))
	return nil
}

// settleLayout fills in the number of workers or of threads where the other one is given.
// It reports whether both are left to a measurement: a CPU's, since the threads of a
// worker with a GPU compute little.
func settleLayout(spec *runspec.Spec, cores int) (auto bool) {
	if spec.Workers.Auto() {
		if spec.Threads == 0 && spec.Device == runspec.DeviceCPU {
			return true
		}
		spec.Workers = runspec.Workers{Min: 1, Max: 1}
	}
	if spec.Threads == 0 {
		spec.Threads = max(1, cores/spec.Workers.Max)
	}
	return false
}

// choosePrecision measures f32 and bf16 with all workers of the run at once, or with one
// on all cores where their number is still to be chosen. The choice determines the
// weights, and the next measurement may give another one: so this machine keeps its
// choice for a model of this shape.
func (u *up) choosePrecision(ctx context.Context, file string, spec *runspec.Spec, auto bool) error {
	about := aboutMachine(*spec)
	if !auto {
		about += fmt.Sprintf("\n%d × %d", spec.Workers.Max, spec.Threads)
	}
	kept := keptChoice[runspec.PrecisionChoice]{"precision", about, false, runspec.ReadPrecisionChoice, runspec.WritePrecisionChoice}
	choice, err := kept.find(u, func() (c runspec.PrecisionChoice, err error) {
		fmt.Fprintln(u.err, "measuring the speed of f32 and bf16")
		layout := runspec.Layout{Workers: spec.Workers.Max, Threads: spec.Threads}
		layout.Workers = min(layout.Workers, max(1, machine.Cores()/layout.Threads)) // more would only share the cores
		found, err := u.measure(ctx, file, layout, runspec.PrecisionF32, runspec.PrecisionBF16)
		if err != nil {
			return c, err
		}
		rates := map[string]float64{}
		for _, r := range found {
			for precision, seconds := range r.MicroBatchSeconds {
				rates[precision] += 1 / float64(seconds)
			}
		}
		return runspec.ChoosePrecision(rates[runspec.PrecisionF32], rates[runspec.PrecisionBF16]), nil
	})
	if err != nil {
		return err
	}
	spec.Precision = choice.Precision
	return runspec.WritePrecisionChoice(u.dir.Precision(), choice)
}

// layoutRounds is how often each layout is measured. They take turns, so that what else
// the machine does disturbs all alike.
const layoutRounds = 2

// hopeless is how much slower than the best a layout may be to be measured again.
const hopeless = 1.3

// chooseLayout measures how fast steps are with one worker on all cores, and with more.
func (u *up) chooseLayout(ctx context.Context, file string, spec *runspec.Spec, cores int) error {
	all := runspec.Layouts(cores, spec.Batch.MicroBatches, u.fittingWorkers(cores))
	about := fmt.Sprintf("%s\n%d %s %v", aboutMachine(*spec), spec.Batch.MicroBatches, spec.Precision, all)
	kept := keptChoice[runspec.LayoutChoice]{"layout", about, true, runspec.ReadLayoutChoice, runspec.WriteLayoutChoice}
	choice, err := kept.find(u, func() (runspec.LayoutChoice, error) {
		if len(all) == 1 {
			return runspec.LayoutChoice{Layout: all[0], Cores: cores}, nil
		}
		fmt.Fprintf(u.err, "measuring how the workers share %s\n", words.Several(cores, "core"))
		measured, free, err := u.measureLayouts(ctx, file, spec, all)
		if err != nil {
			return runspec.LayoutChoice{}, err
		}
		return runspec.ChooseLayout(cores, free, measured), nil
	})
	if err != nil {
		return err
	}
	spec.Workers, spec.Threads = runspec.Workers{Min: 1, Max: choice.Workers}, choice.Threads
	u.workers = choice.Workers
	return runspec.WriteLayoutChoice(u.dir.Layout(), choice)
}

// measureLayouts times all layouts: the better of each one's rounds counts. free says that
// the number of threads does not change the bits.
func (u *up) measureLayouts(ctx context.Context, file string, spec *runspec.Spec, all []runspec.Layout) (best []runspec.LayoutTiming, free bool, err error) {
	best = make([]runspec.LayoutTiming, len(all))
	for round := range layoutRounds {
		least := slices.MinFunc(best, func(a, b runspec.LayoutTiming) int { return cmp.Compare(a.Step, b.Step) }).Step
		for i, l := range all {
			if best[i].Step > hopeless*least { // not in the first round, where all are 0
				continue
			}
			found, err := u.measure(ctx, file, l, spec.Precision)
			if err != nil {
				return nil, false, err
			}
			free = found[0].AnyThreads
			t := timing(*spec, l, found)
			if round == 0 || t.Step < best[i].Step {
				best[i] = t
			}
		}
	}
	return best, free, nil
}

// timing is how long a step takes, by what the workers of a layout measured. The others
// wait for the slowest.
func timing(spec runspec.Spec, l runspec.Layout, found []evaluation.Rates) runspec.LayoutTiming {
	var batch, update time.Duration
	for _, r := range found {
		batch = max(batch, seconds(r.MicroBatchSeconds[spec.Precision]))
		update = max(update, seconds(r.UpdateSeconds[spec.Precision]))
	}
	elements := int64(newLayout(spec, spec.VocabSize).Total)
	return runspec.NewLayoutTiming(l, batch, update, spec.Batch.MicroBatches, elements)
}

// refit divides the cores anew among the workers of a run that resumes with another number
// of them, where a measurement had chosen both, and the bits stay the same.
func (u *up) refit(origins runspec.Origins) {
	spec := &u.spec
	if origins["threads"] != u.dir.Spec() || origins["workers"] == u.dir.Spec() || spec.Pinned {
		return
	}
	c, err := runspec.ReadLayoutChoice(u.dir.Layout())
	if err != nil || c == nil || !c.Free || c.Workers == spec.Workers.Max {
		return
	}
	spec.Threads = max(1, machine.Cores()/spec.Workers.Max)
}

// measure lets the workers of a layout measure at the same time, each in a process of its
// own.
func (u *up) measure(ctx context.Context, file string, l runspec.Layout, precisions ...string) ([]evaluation.Rates, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, measureWithin, fmt.Errorf("no result within %s", measureWithin))
	defer cancel()
	found := make([]evaluation.Rates, l.Workers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range found {
		group.Go(func() error {
			out, err := u.workerOutput(ctx, nil, "measure", "--spec", file, "--threads", strconv.Itoa(l.Threads), "--precision", strings.Join(precisions, ","))
			if err == nil {
				err = json.Unmarshal(out, &found[i])
			}
			if err != nil {
				return fmt.Errorf("measure speed: %w", err)
			}
			return nil
		})
	}
	return found, group.Wait()
}
