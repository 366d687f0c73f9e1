package ledger

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/words"
)

// String formats the account for people: energy in watt-hours, carbon in grams of CO2e,
// and "estimated" beside every number that no sensor measured.
func (a *Account) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s: %s, %s to %s\n\n", a.Run, words.Several(a.Entries, "entry"),
		a.From.Format("2006-01-02 15:04:05"), a.To.Format("2006-01-02 15:04:05 MST"))
	a.writeEnergy(&b)
	a.writeCarbon(&b)
	a.writeCharged(&b)
	a.writeGaps(&b)
	a.writeTraining(&b)
	if len(a.Checkpoints) > 0 {
		b.WriteString("\ncheckpoints\n")
		for _, c := range a.Checkpoints {
			fmt.Fprintf(&b, "  step %d in %s, manifest %.12s, entry %d\n", c.Step, c.Folder, c.Manifest, c.Entry)
		}
	}
	if len(a.Notes) > 0 {
		b.WriteString("\nnotes\n")
		for _, n := range a.Notes {
			fmt.Fprintf(&b, "  %s: %s (entry %d)\n", n.Kind, n.Text, n.Entry)
		}
	}
	if a.Behind > 0 {
		fmt.Fprintf(&b, "\n%s behind the head, never acknowledged and not counted\n", words.Several(a.Behind, "entry"))
	}
	return b.String()
}

// writeEnergy writes a table in which every division adds up to the total.
func (a *Account) writeEnergy(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name string, uj, guessed int64) {
		line := fmt.Sprintf("%s\t%s", name, wattHours(uj))
		if a.Total > 0 {
			line += fmt.Sprintf("  %5.1f %%", 100*float64(uj)/float64(a.Total))
		}
		if note := estimated(uj, guessed); note != "" {
			line += "  " + note
		}
		_, _ = io.WriteString(w, line+"\n") // into memory
	}
	row("energy", a.Total, a.Guessed)
	for _, p := range energy.Phases() {
		if uj, ok := a.ByPhase[p]; ok {
			row("  "+string(p), uj, 0)
		}
	}
	row("of it wasted", a.Wasted, 0)
	if a.LostWork > 0 {
		row("  on steps that were lost", a.LostWork, 0)
	}
	for _, m := range energy.Methods() {
		if uj, ok := a.ByMethod[m]; ok {
			row("by method: "+string(m), uj, 0)
		}
	}
	for _, d := range a.Devices {
		row(fmt.Sprintf("host %s, %s", d.Host, d.Meter), d.MicroJ, d.Guessed)
	}
	for _, kind := range byAmount(a.ByKind) {
		row("devices: "+kind, a.ByKind[kind], 0)
	}
	for _, worker := range byAmount(a.ByWorker) {
		row("by process: "+worker, a.ByWorker[worker], 0)
	}
	_ = w.Flush() // into memory
}

func (a *Account) writeCarbon(b *strings.Builder) {
	if a.Carbon == nil {
		b.WriteString("\ncarbon: unknown, the ledger holds no factor\n")
		return
	}
	fmt.Fprintf(b, "\ncarbon: %.3g gCO2e", a.Carbon.Grams)
	if note := estimated(a.Total, a.Guessed); note != "" {
		b.WriteString(", " + note)
	}
	b.WriteString("\n")
	for _, f := range a.Carbon.Factors {
		place := cmp.Or(f.Country, "the world's mean")
		if f.Host != "" {
			place += ", host " + f.Host
		}
		year := ""
		if f.Year != 0 {
			year = fmt.Sprintf(" %d", f.Year)
		}
		fmt.Fprintf(b, "  %g g/kWh (%s), PUE %g: %s%s\n", f.GramsPerKWh, place, f.PUE, f.Origin, year)
	}
}

func (a *Account) writeGaps(b *strings.Builder) {
	if len(a.Gaps) == 0 {
		b.WriteString("\ngaps: none\n")
		return
	}
	fmt.Fprintf(b, "\ngaps: %d, in which meters gave nothing for %.1f s\n", len(a.Gaps), a.GapSeconds)
	for _, g := range a.Gaps {
		filled := ""
		if g.Imputed {
			filled = ", filled in by an estimate"
		}
		fmt.Fprintf(b, "  %s of %s, %.1f s: %s%s (entry %d)\n", g.Meter, g.Worker, g.Seconds(), g.Reason, filled, g.Entry)
	}
	if a.Lost > 0 {
		fmt.Fprintf(b, "  %s that never arrived\n", words.Several(a.Lost, "record"))
	}
}

func (a *Account) writeTraining(b *strings.Builder) {
	fmt.Fprintf(b, "\ntraining: %s, %s, %s", words.Several(a.Steps, "step"), words.Several(a.Samples, "sample"), words.Several(a.Tokens, "token"))
	a.writeLosses(b)
	fmt.Fprintf(b, "\nmembership: %s, the newest generation is %d\n", words.Several(a.Memberships, "change"), a.Generation)
	if a.Mixed {
		b.WriteString("mixed: workers with different numerics took part, the result is not reproducible\n")
	}
	for _, r := range a.Resumes {
		fmt.Fprintf(b, "resumed at step %d (entry %d)", r.Step, r.Entry)
		if r.From != nil {
			fmt.Fprintf(b, ": proven to continue the ledger of %s that the checkpoint knew", words.Several(r.From.Size, "entry"))
		}
		b.WriteString("\n")
	}
	for _, h := range a.Handovers {
		vouched := "the previous key signed this"
		if !h.Signed {
			vouched = "key not available: continued by a new key, for which the previous key does not vouch"
		}
		fmt.Fprintf(b, "signed by another key from entry %d on: %s (%s)\n", h.Entry, vouched, h.Reason)
	}
	a.writeBuilds(b)
	switch {
	case a.Repeated == 1:
		b.WriteString("1 step was computed again after a resume\n")
	case a.Repeated > 1:
		fmt.Fprintf(b, "%d steps were computed again after a resume\n", a.Repeated)
	}
}

// wattHours formats energy with enough digits for the smallest run.
func wattHours(uj int64) string { return fmt.Sprintf("%12.4f Wh", energy.WattHours(uj)) }

// estimated returns how much of an amount is estimated, "" if nothing is.
func estimated(uj, guessed int64) string {
	switch {
	case guessed == 0:
		return ""
	case guessed == uj:
		return "estimated"
	}
	return fmt.Sprintf("%.2g %% estimated", 100*float64(guessed)/float64(uj))
}

// byAmount returns the names with the largest amounts first.
func byAmount(m map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}
