package main

import (
	"fmt"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/words"
)

// diverged is the error of a run whose newest checkpoint says that its training
// diverged so far that the run stops for it; nil for any other. What is wrong with a
// checkpoint is told by who goes on from it.
func (u *up) diverged(spec runspec.Spec, taken checkpoint.Choice) error {
	if taken.Folder == "" {
		return nil
	}
	b, err := checkpoint.ReadBrief(taken.Folder)
	if err != nil {
		return nil
	}
	f := b.State.Course.Finding()
	if !f.Stops(spec.StopOnDivergence) {
		return nil
	}
	hint := fmt.Sprintf("begin another run with a lower learning rate: `%s`",
		words.Command("gramme", "up", "--run", string(u.dir.Next()), "--like", string(u.dir), "--optimizer-lr", fmt.Sprintf("%g", lowerRate(spec))))
	if b.State.Step < spec.Steps {
		hint += fmt.Sprintf("; --stop-on-divergence=%s goes on with this one", divergence.StopNever)
	}
	return exit.Wrap(exit.Diverged, hint, fmt.Errorf("the training diverged: up to step %d, %s", b.State.Step, f.Text))
}

// lowerRate is a learning rate to try after one that was too high: what suits such a
// model, or a quarter of a rate that was not higher.
func lowerRate(spec runspec.Spec) float64 {
	if usual := spec.UsualRate(); spec.Optimizer.LR > usual {
		return usual
	}
	return spec.Optimizer.LR / 4
}
