package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard"
)

// summarize prints the result: loss, speed, checkpoint, energy, and the command that
// continues.
func (u *up) summarize(m shard.Manifest, e evaluation.Result) error {
	report, err := checkpoint.Audit(string(u.dir))
	if err != nil {
		return exit.Wrap(exit.Verify, "`"+words.Command("gramme", "audit", string(u.dir))+"` shows it again", fmt.Errorf("audit the finished run: %w", err))
	}
	w := u.out
	describeEvaluation(w, m, e)
	if e.TokensPerSecond > 0 {
		fmt.Fprintf(w, "speed:      %.0f tokens/s\n", float64(e.TokensPerSecond))
	}
	f := findingOf(u.taken)
	if text := f.Warning(u.spec.Optimizer.LR); text != "" {
		fmt.Fprintf(w, "warning:    %s\n", text)
	}
	fmt.Fprintf(w, "checkpoint: %s\n", filepath.Join(u.dir.Checkpoints(), "latest"))
	a := report.Account
	estimated := ""
	if a.Guessed > 0 {
		estimated = fmt.Sprintf(" (%.0f%% of it estimated)", 100*float64(a.Guessed)/float64(max(a.Total, 1)))
	}
	if a.Readings == 0 {
		fmt.Fprintln(w, "energy:     nothing was measured")
	} else {
		fmt.Fprintf(w, "energy:     %.3f Wh%s, of it %.3f Wh wasted\n", energy.WattHours(a.Total), estimated, energy.WattHours(a.Wasted))
	}
	for _, c := range a.Charged {
		for _, other := range c.Elsewhere {
			fmt.Fprintf(w, "charged:    for %.0f s run %s read the counters of host %s: the energy of this run's processes in that time is in the account of that run\n",
				other.Seconds, other.Run, c.Host)
		}
	}
	if a.Carbon != nil && a.Readings > 0 {
		f := a.Carbon.Factors[0]
		fmt.Fprintf(w, "carbon:     %.3f gCO2e%s (%.0f g/kWh, PUE %g; %s)\n", float64(a.Carbon.Grams), estimated, f.GramsPerKWh, f.PUE, f.Origin)
	}
	fmt.Fprintf(w, "audit:      ok, %s, %s\n", words.Several(a.Entries, "ledger entry"), words.Several(len(report.Checkpoints), "checkpoint"))
	if u.diverged() != nil {
		return nil // its hint says how to continue
	}
	if f.Kind != divergence.None {
		fmt.Fprintf(w, "try again:  %s\n", u.lowerRate())
	}
	switch {
	case u.taken.Step < u.spec.Steps:
		fmt.Fprintf(w, "resume:     %s\n", u.resumeCommand())
	case f.Kind == divergence.None: // the learning rate has fallen to 0: more steps are another run
		fmt.Fprintf(w, "for longer: %s\n", program.Command("up", "--run", string(u.dir.Next()), "--like", string(u.dir), "--steps", fmt.Sprint(2*u.spec.Steps)))
	}
	return nil
}

// describeEvaluation prints a measurement of the validation split, if there
// was one.
func describeEvaluation(w io.Writer, m shard.Manifest, e evaluation.Result) {
	if e.NotFinite > 0 {
		fmt.Fprintf(w, "validation: none: %d of the model's %d weights are not finite, so that it gives no answers\n", e.NotFinite, e.Weights)
		return
	}
	if e.Newest.Predictions == 0 {
		return
	}
	if loss := e.Newest.MLMLoss + e.Newest.NSPLoss; !loss.Finite() {
		fmt.Fprintf(w, "validation: none: the model's loss is not finite (MLM %s, NSP %s), so that it gives no answers\n",
			lossText(float64(e.Newest.MLMLoss)), lossText(float64(e.Newest.NSPLoss)))
		return
	}
	percent := func(f number.Float) float64 { return 100 * float64(f) }
	fmt.Fprintf(w, "validation: MLM loss %s at the start, %s at the end (unigram entropy of the corpus %.3f); accuracy %.1f%%\n",
		lossText(float64(e.Start.MLMLoss)), lossText(float64(e.Newest.MLMLoss)), float64(m.UnigramEntropyNats), percent(e.Newest.MLMAccuracy))
	chance := ""
	if e.Newest.NSPChance > 0 {
		chance = fmt.Sprintf(" (chance is %.1f%%)", percent(e.Newest.NSPChance))
	}
	fmt.Fprintf(w, "            NSP loss %s at the start, %s at the end; accuracy %.1f%% of %s%s\n",
		lossText(float64(e.Start.NSPLoss)), lossText(float64(e.Newest.NSPLoss)), percent(e.Newest.NSPAccuracy), words.Several(e.Newest.Pairs, "pair"), chance)
}

// resumeCommand is the command that resumes the run.
func (u *up) resumeCommand() string { return program.Command("up", "--run", string(u.dir)) }
