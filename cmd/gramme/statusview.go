package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// measurements is a line with the known measurements of a run; empty if there are none.
func measurements(s wire.Status) string {
	var parts []string
	part := func(o number.Optional, text func(v float64) string) {
		if v, known := o.Get(); known {
			parts = append(parts, text(v))
		}
	}
	part(s.Loss, func(v float64) string {
		text := "loss " + lossText(v)
		if mlm, known := s.MLMLoss.Get(); known {
			text += fmt.Sprintf(" (MLM %s, NSP %s)", lossText(mlm), lossText(s.NSPLoss.Or(0)))
		}
		if s.LossSteps > 1 {
			text += fmt.Sprintf(", the mean of %d steps", s.LossSteps)
		}
		return text
	})
	part(s.TokensPerSecond, func(v float64) string { return fmt.Sprintf("%.0f tokens/s", v) })
	part(s.Watts, func(v float64) string { return fmt.Sprintf("%.0f W", v) })
	if s.Checkpoint > 0 {
		parts = append(parts, fmt.Sprintf("checkpoint of step %d", s.Checkpoint))
	}
	return strings.Join(parts, ", ")
}

func showWarnings(out io.Writer, all []wire.Warning) error {
	for _, w := range all {
		if _, err := fmt.Fprintf(out, "warning: %s\n\n", w.Text); err != nil {
			return err
		}
	}
	return nil
}

func showStatus(out io.Writer, s wire.Status) error {
	if s.Run == "" { // the spec is written at the end of the preparation
		_, err := fmt.Fprintf(out, "%s: %s\n", s.State, s.Reason)
		return err
	}
	fmt.Fprintf(out, "run %s: %s, step %d of %d\n", s.Run, s.State, s.Step, s.Steps)
	for _, text := range s.Choices {
		fmt.Fprintln(out, text)
	}
	if len(s.Processes) == 0 {
		if line := measurements(s); line != "" {
			fmt.Fprintln(out, line)
		}
		return showWarnings(out, s.Warnings)
	}
	switch {
	case s.Generation > 0:
		through := ""
		if s.Ring == wire.RingBroker {
			through = ", its ring goes through NATS"
		}
		fmt.Fprintf(out, "generation %d%s: %s\n", s.Generation, through, s.Reason)
	case s.Reason != "":
		fmt.Fprintln(out, s.Reason)
	}
	if s.Mixed {
		fmt.Fprintln(out, "mixed: workers with different arithmetic take part, or took part: the result is not reproducible")
	}
	fmt.Fprintf(out, "%s\n\n", measurements(s))
	if err := showWarnings(out, s.Warnings); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tID\tPID\tHOST\tRANK\tSTATE\tMICRO-BATCHES")
	for _, p := range s.Processes {
		rank := "-"
		if p.Rank >= 0 {
			rank = fmt.Sprint(p.Rank)
		}
		state := string(p.State)
		if p.Slow > 0 {
			state += fmt.Sprintf(", slow (%.2g of the others' speed)", p.Slow)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%d\n", p.Role, p.ID, p.PID, p.Host, rank, state, p.MicroBatches)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range s.Processes {
		if p.Reason != "" {
			if _, err := fmt.Fprintf(out, "\n%s is %s: %s\n", p.ID, p.State, p.Reason); err != nil {
				return err
			}
		}
	}
	return nil
}
