package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/cachedir"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// efficiency is the share of a step that is spent on gradients; the rest is the
// ring, the optimizer and checkpoints. Found by trying with the small models.
const efficiency = 0.6

// measureWithin bounds a measurement, which takes seconds, or a minute for a large
// model.
const measureWithin = 10 * time.Minute

// calibrate chooses the precision and, with --minutes, the number of steps, by measuring
// how fast the workers compute.
func (u *up) calibrate(ctx context.Context, spec *runspec.Spec) error {
	file := filepath.Join(u.dir.Logs(), "calibration.yaml")
	defer os.Remove(file)
	if err := spec.Write(file); err != nil {
		return err
	}
	if spec.Precision == runspec.PrecisionAuto {
		if err := u.choosePrecision(ctx, file, spec); err != nil {
			return err
		}
	}
	if u.minutes == 0 {
		return nil
	}
	fmt.Fprintf(u.err, "measuring the speed of %s × %s\n", words.Several(spec.Workers.Max, "worker"), words.Several(spec.Threads, "thread"))
	rates := make([]number.Float, spec.Workers.Max)
	group, ctx := errgroup.WithContext(ctx)
	for i := range rates {
		group.Go(func() error {
			found, err := u.measure(ctx, file, spec.Precision)
			rates[i] = found[spec.Precision]
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	total := 0.0
	for _, r := range rates {
		total += float64(r)
	}
	spec.Steps = uint64(max(1, u.minutes*60*efficiency*total/float64(spec.Batch.MicroBatches)))
	return nil
}

// choosePrecision measures f32 and bf16 on one worker. The choice determines the
// weights, and the next measurement may give another one: so this machine keeps its
// choice for a model of this shape.
func (u *up) choosePrecision(ctx context.Context, file string, spec *runspec.Spec) error {
	var choice *runspec.PrecisionChoice
	place, noPlace := choiceFile(*spec)
	if noPlace == nil {
		choice, _ = runspec.ReadPrecisionChoice(place) // if it cannot be read, measure again
	}
	if choice != nil {
		fmt.Fprintf(u.err, "%s; measured on this machine earlier (%s)\n", choice, place)
	} else {
		fmt.Fprintln(u.err, "measuring the speed of f32 and bf16")
		rates, err := u.measure(ctx, file, runspec.PrecisionF32, runspec.PrecisionBF16)
		if err != nil {
			return err
		}
		now := runspec.ChoosePrecision(float64(rates[runspec.PrecisionF32]), float64(rates[runspec.PrecisionBF16]))
		fmt.Fprintln(u.err, now)
		if noPlace == nil {
			noPlace = os.MkdirAll(filepath.Dir(place), 0o755)
		}
		if noPlace == nil {
			noPlace = runspec.WritePrecisionChoice(place, now)
		}
		if noPlace != nil { // this run's own folder holds it in any case
			fmt.Fprintf(u.err, "note: the choice is not saved for other runs: %v\n", noPlace)
		}
		choice = &now
	}
	spec.Precision = choice.Precision
	return runspec.WritePrecisionChoice(u.dir.Precision(), *choice)
}

// choiceFile is where the precision of a shape of model is kept, apart for each
// build and processor.
func choiceFile(spec runspec.Spec) (string, error) {
	cache, err := cachedir.Find()
	if err != nil {
		return "", err
	}
	about := fmt.Sprintf("%s\n%+v\n%d %d %d %s\n%s", buildinfo.Version, spec.ModelConfig(spec.VocabSize),
		spec.Batch.Rows, spec.MaxSeq, spec.Threads, spec.Device, processor())
	sum := sha256.Sum256([]byte(about))
	return filepath.Join(cache, "precision", hex.EncodeToString(sum[:8])), nil
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

// measure runs the worker's measurement and returns micro-batches a second by
// precision.
func (u *up) measure(ctx context.Context, file string, precisions ...string) (map[string]number.Float, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, measureWithin, fmt.Errorf("no result within %s", measureWithin))
	defer cancel()
	out, err := u.workerOutput(ctx, nil, "measure", "--spec", file, "--precision", strings.Join(precisions, ","))
	if err != nil {
		return nil, fmt.Errorf("measure speed: %w", err)
	}
	var result evaluation.Rates
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("measure speed: %w", err)
	}
	return result.MicroBatches, nil
}
