package main

import (
	"fmt"
	"strconv"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/runspec"
)

// findingOf returns the finding of a checkpoint about divergence. Faults of the
// checkpoint itself are reported when a run resumes from it.
func findingOf(taken checkpoint.Choice) divergence.Finding {
	if taken.Folder == "" {
		return divergence.Finding{}
	}
	b, err := checkpoint.ReadBrief(taken.Folder)
	if err != nil {
		return divergence.Finding{}
	}
	return b.State.Course.Finding()
}

// diverged is the error of a run whose newest checkpoint says that its training
// diverged so far that the run stops for it; nil for any other.
func (u *up) diverged(spec runspec.Spec, taken checkpoint.Choice) error {
	f := findingOf(taken)
	if !f.Stops(spec.StopOnDivergence) {
		return nil
	}
	hint := "start another run with a lower learning rate: " + u.lowerRate(spec)
	if taken.Step < spec.Steps {
		hint += fmt.Sprintf("; --stop-on-divergence=%s continues this one", divergence.StopNever)
	}
	return exit.Wrap(exit.Diverged, hint, fmt.Errorf("the training diverged: up to step %d, %s", taken.Step, f.Text))
}

// lowerRate returns a command that starts such a run with a lower learning rate: the
// usual one of the model, or a quarter of a rate that was not higher than that.
func (u *up) lowerRate(spec runspec.Spec) string {
	rate := spec.Optimizer.LR / 4
	if usual := spec.UsualRate(); spec.Optimizer.LR > usual {
		rate = usual
	}
	return program.Command("up", "--run", string(u.dir.Next()), "--like", string(u.dir),
		"--optimizer-lr", strconv.FormatFloat(rate, 'g', -1, 64))
}
