package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/launch/preflight/network"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/trials/chaos"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

func chaosCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "chaos [flags] [corpus...]",
		Short: "kill, freeze and scale the processes of a run, and compare the result with an undisturbed run",
		Long: `Trains with one worker, undisturbed, then the same again under gramme up while it
kills, freezes, cuts off, drains, scales and interrupts processes as a seed determines.
Reports for each fault the time until it was noticed and until the next step. Exits with
0 only if the weights have the same bits, the ledger and all checkpoints verify and count
every sample once, and nothing is left behind.

Without a plan: 20 faults of all kinds that are possible, 1 to 3 workers. Kinds of faults:
` + kindsText(),
		Example: "  gramme chaos text/\n  gramme chaos --plan plan.yaml --run runs/trial --json trial.json text/",
	}
	run := c.Flags().String("run", "runs/chaos", "`folder` for both runs; an undisturbed run in it is reused")
	file := c.Flags().String("plan", "", "YAML `file` with the plan of the trial")
	report := c.Flags().String("json", "", "`file` for the report, as JSON")
	seed := c.Flags().Uint64("seed", 0, "seed of the faults; overrides the plan")
	faults := c.Flags().Int("faults", 0, "number of faults; overrides the plan")
	services := c.Flags().String("services", "", "where etcd and NATS run: embedded, or in a cluster that the trial starts; overrides the plan")
	member := c.Flags().String("member", "", "be one member of a cluster, by the settings in this file: with `services: cluster` the trial starts its own program so")
	_ = c.Flags().MarkHidden("member") // it is there
	c.RunE = func(c *cobra.Command, args []string) error {
		if *member != "" {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return cluster.Serve(ctx, *member)
		}
		plan := chaos.Default()
		if *file != "" {
			var err error
			if plan, err = chaos.ReadPlan(*file); err != nil {
				return exit.Wrap(exit.Usage, "docs/chaos.md describes plans", err)
			}
		}
		if c.Flags().Changed("seed") {
			plan.Seed = *seed
		}
		if c.Flags().Changed("faults") {
			plan.Faults = *faults
		}
		if c.Flags().Changed("services") {
			plan.Services = *services
		}
		if err := plan.Validate(); err != nil {
			return exit.Wrap(exit.Usage, "docs/chaos.md describes plans", err)
		}
		if *report != "" { // found out now, and not at the end of a long trial
			if err := writable(*report); err != nil {
				return exit.Wrap(exit.Usage, "give a file that this user may write", fmt.Errorf("--json: %w", err))
			}
		}
		ctx, stop := interruptible(c.Context())
		defer stop()
		u := &up{}
		if err := u.findBinaries(ctx, runspec.DeviceCPU); err != nil {
			return err
		}
		if err := network.FromEnviron().Check(ctx); err != nil {
			return err
		}
		out := c.OutOrStdout()
		r, err := chaos.Run(ctx, chaos.Options{
			Plan: plan, File: *file, Dir: *run, Gramme: u.gramme.Path, Member: []string{u.gramme.Path, "chaos", "--member"}, Corpus: args,
			Say: func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) },
			Saw: func(r chaos.Record) { fmt.Fprintln(out, r) },
		})
		if r == nil {
			return err
		}
		if *report != "" {
			err = errors.Join(err, writeReport(*report, r))
		}
		if err != nil {
			return err
		}
		if r.Interrupted {
			return exit.Wrap(exit.Interrupted, "", errors.New("chaos: interrupted; everything that it started has ended"))
		}
		if err := showReport(out, r); err != nil {
			return err
		}
		return verdict(r)
	}
	return c
}

func kindsText() string {
	var b strings.Builder
	names, docs := chaos.Kinds()
	for i, name := range names {
		fmt.Fprintf(&b, "  %-17s %s\n", name, docs[i])
	}
	return b.String()
}

// writable tries to open a file for writing. It leaves the file, or its absence, as it
// is.
func writable(path string) error {
	_, absent := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = f.Close()
	if absent != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func writeReport(path string, r *chaos.Report) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// showReport prints the result of a trial.
func showReport(out io.Writer, r *chaos.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Kinds) > 0 {
		fmt.Fprintln(w, "\nms\tfaults\tnoticed p50\tp99\tnext step p50\tp99\tlongest step p50\tp99\t")
	}
	for _, k := range r.Kinds {
		noticed, next, still := "-\t-", "-\t-", "-\t-"
		if k.Detected > 0 {
			noticed = fmt.Sprintf("%.0f\t%.0f", k.DetectP50, k.DetectP99)
		}
		if k.Recovered > 0 {
			next = fmt.Sprintf("%.0f\t%.0f", k.RecoveryP50, k.RecoveryP99)
		}
		if k.StillP50 > 0 {
			still = fmt.Sprintf("%.0f\t%.0f", k.StillP50, k.StillP99)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t\n", k.Kind, k.Faults, noticed, next, still)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.StepMS > 0 {
		fmt.Fprintf(out, "\na step took %.1f ms (p99 %.1f)\n", r.StepMS, r.StepP99MS)
	}
	if e := r.Energy; e != nil {
		fmt.Fprintf(out, "energy: %.0f J disturbed, of it %.0f J wasted (%.0f J on steps that were lost); %.0f J undisturbed; %.0f%% estimated\n",
			e.Disturbed, e.Wasted, e.LostWork, e.Undisturbed, 100*e.Guessed)
	}
	fmt.Fprintln(out)
	for _, c := range r.Checks {
		mark := "ok    "
		if !c.OK {
			mark = "FAIL  "
		}
		fmt.Fprintf(out, "%s%s: %s\n", mark, c.Name, c.Found)
	}
	return nil
}

// verdict is an error that names everything that does not hold.
func verdict(r *chaos.Report) error {
	var all []error
	for _, c := range r.Failures() {
		all = append(all, fmt.Errorf("%s: %s", c.Name, c.Found))
	}
	return exit.Wrap(exit.Failure, "the logs of both runs are in "+r.Run, failures.Of(all...))
}
