package main

import (
	"fmt"
	"strconv"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/exit"
)

// findingOf returns the finding of a checkpoint about divergence. Faults of the
// checkpoint itself are reported when a run resumes from it.
func findingOf(taken checkpoint.Choice) divergence.Finding {
	if taken.Folder == "" {
		return divergence.Finding{}
	}
	b, err := checkpoint.ReadSummary(taken.Folder)
	if err != nil {
		return divergence.Finding{}
	}
	return b.State.History.Finding()
}

// diverged is the error of a run whose newest checkpoint says that its training
// diverged so far that the run stops for it; nil for any other.
func (u *up) diverged() error {
	f := findingOf(u.taken)
	if !f.Stops(u.spec.StopOnDivergence) {
		return nil
	}
	hint := "start another run with a lower learning rate: " + u.lowerRate()
	if u.taken.Step < u.spec.Steps {
		hint += fmt.Sprintf("; --stop-on-divergence=%s continues this one", divergence.StopNever)
	}
	return exit.Wrap(exit.Diverged, hint, fmt.Errorf("the training diverged: up to step %d, %s", u.taken.Step, f.Text))
}

// lowerRate returns a command that starts such a run with a lower learning rate: the
// usual one of the model, or a quarter of a rate that was not higher than that.
func (u *up) lowerRate() string {
	rate := u.spec.Optimizer.LR / 4
	if usual := u.spec.UsualRate(); u.spec.Optimizer.LR > usual {
		rate = usual
	}
	return program.Command("up", "--run", string(u.dir.Next()), "--like", string(u.dir),
		"--optimizer-lr", strconv.FormatFloat(rate, 'g', -1, 64))
}
