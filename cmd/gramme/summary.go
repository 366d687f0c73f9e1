package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/energy"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/shard"
)

// summarize says what came of it: loss, speed, checkpoint, energy, and how to go
// on.
func (u *up) summarize(spec runspec.Spec, m shard.Manifest, newest uint64, e evaluation.Result) error {
	report, err := checkpoint.Audit(string(u.dir))
	if err != nil {
		return exit.Wrap(exit.Verify, "`gramme audit "+string(u.dir)+"` shows it again", fmt.Errorf("audit of what was just written: %w", err))
	}
	w := u.out
	if e.Newest.Predictions > 0 {
		fmt.Fprintf(w, "validation: MLM loss %.3f at the start, %.3f at the end (unigram entropy of the corpus %.3f); accuracy %.1f%%\n",
			e.Start.MLMLoss, e.Newest.MLMLoss, m.UnigramEntropyNats, 100*e.Newest.MLMAccuracy)
		fmt.Fprintf(w, "            NSP loss %.3f at the start, %.3f at the end; accuracy %.1f%% of %d pairs (chance is 50%%)\n",
			e.Start.NSPLoss, e.Newest.NSPLoss, 100*e.Newest.NSPAccuracy, e.Newest.Pairs)
	}
	if e.TokensPerSecond > 0 {
		fmt.Fprintf(w, "speed:      %.0f tokens/s\n", e.TokensPerSecond)
	}
	fmt.Fprintf(w, "checkpoint: %s\n", filepath.Join(u.dir.Checkpoints(), "latest"))
	a := report.Account
	estimated := ""
	if a.Guessed > 0 {
		estimated = fmt.Sprintf(" (%.0f%% of it estimated)", 100*float64(a.Guessed)/float64(max(a.Total, 1)))
	}
	fmt.Fprintf(w, "energy:     %.3f Wh%s, of it %.3f Wh wasted\n", energy.WattHours(a.Total), estimated, energy.WattHours(a.Wasted))
	for _, c := range a.Charged {
		for _, other := range c.Elsewhere {
			fmt.Fprintf(w, "charged:    for %.0f s run %s read the counters of host %s: what this run's processors drew then is in the account of that run\n",
				other.Seconds, other.Run, c.Host)
		}
	}
	if a.Carbon != nil {
		f := a.Carbon.Factors[0]
		fmt.Fprintf(w, "carbon:     %.3f gCO2e%s (%.0f g/kWh, PUE %g; %s)\n", a.Carbon.Grams, estimated, f.GramsPerKWh, f.PUE, f.Origin)
	}
	fmt.Fprintf(w, "audit:      ok, %d ledger entries, %d checkpoints\n", a.Entries, len(report.Checkpoints))
	if newest < spec.Steps {
		fmt.Fprintf(w, "go on with: %s\n", u.again())
	} else { // the learning rate has fallen to 0: more steps are another run
		fmt.Fprintf(w, "for longer: %s up --run %s --like %s --steps %d\n", self(), u.dir.Next(), u.dir, 2*spec.Steps)
	}
	return nil
}

// self is what this program is called by at a prompt.
func self() string {
	if name := os.Args[0]; strings.Contains(name, "/") && !filepath.IsAbs(name) {
		return name
	}
	return "gramme"
}

// again is the command that goes on with the run.
func (u *up) again() string { return fmt.Sprintf("%s up --run %s", self(), u.dir) }
