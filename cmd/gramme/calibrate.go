package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/runspec"
)

// bf16Gain is how much faster bf16 must be before it is chosen: f32 is the safer
// arithmetic.
const bf16Gain = 1.2

// efficiency is the share of a step that is spent on gradients; the rest is the
// ring, the optimizer and checkpoints. Found by trying with the small models.
const efficiency = 0.8

// calibrate measures how fast the workers compute, all at the same time, and
// settles precision and, where minutes were given, steps.
func (u *up) calibrate(ctx context.Context, spec *runspec.Spec) error {
	fmt.Fprintf(u.err, "measuring the speed of %d workers × %d threads\n", spec.Workers.Max, spec.Threads)
	file := filepath.Join(u.dir.Logs(), "calibration.yaml")
	defer os.Remove(file)
	if err := spec.Write(file); err != nil {
		return err
	}
	candidates := []string{spec.Precision}
	if spec.Precision == runspec.PrecisionAuto {
		candidates = []string{runspec.PrecisionF32, runspec.PrecisionBF16}
	}
	rates := make(map[string]float64, len(candidates)) // micro-batches a second, all workers
	for _, p := range candidates {
		rate, err := u.measure(ctx, file, p, spec.Workers.Max)
		if err != nil {
			return err
		}
		rates[p] = rate
	}
	if spec.Precision == runspec.PrecisionAuto {
		spec.Precision = runspec.PrecisionF32
		if rates[runspec.PrecisionBF16] > bf16Gain*rates[runspec.PrecisionF32] {
			spec.Precision = runspec.PrecisionBF16
		}
		fmt.Fprintf(u.err, "precision %s: f32 %.1f, bf16 %.1f micro-batches/s\n", spec.Precision, rates[runspec.PrecisionF32], rates[runspec.PrecisionBF16])
	}
	if u.minutes > 0 {
		spec.Steps = uint64(max(1, u.minutes*60*efficiency*rates[spec.Precision]/float64(spec.Batch.MicroBatches)))
	}
	return nil
}

// measure runs the worker's measurement in as many processes as there will be
// workers and adds up what they reach.
func (u *up) measure(ctx context.Context, spec, precision string, workers int) (float64, error) {
	rates := make([]float64, workers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range rates {
		group.Go(func() error {
			out, err := u.workerOutput(ctx, nil, "measure", "--spec", spec, "--precision", precision)
			if err != nil {
				return fmt.Errorf("measure %s: %w", precision, err)
			}
			var result struct {
				Rate float64 `json:"micro_batches_per_second"`
			}
			if err := json.Unmarshal(out, &result); err != nil {
				return fmt.Errorf("measure %s: %w", precision, err)
			}
			rates[i] = result.Rate
			return nil
		})
	}
	err := group.Wait()
	total := 0.0
	for _, r := range rates {
		total += r
	}
	return total, err
}

// workerOutput runs the worker's binary and returns what it prints. Its errors
// are passed on with their exit codes.
func (u *up) workerOutput(ctx context.Context, env []string, args ...string) ([]byte, error) {
	return workerOutput(ctx, u.worker, env, args...)
}

func workerOutput(ctx context.Context, path string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = process.Attributes()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, exit.Wrap(max(exit.Failure, cmd.ProcessState.ExitCode()), lastHint(stderr.String()), fmt.Errorf("%s: %s", args[0], lastError(stderr.String(), err)))
	}
	return out, nil
}

// lastError and lastHint read what a child printed by report.
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

func lastHint(stderr string) string {
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "hint: "); ok {
			return text
		}
	}
	return ""
}
