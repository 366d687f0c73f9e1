//go:build cgo

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
)

// newestModel returns the newest checkpoint of a run, after verifying its model against
// manifest and ledger. If it does not verify, the error names an older one that does: a
// user should know that the answer comes from another model.
func newestModel(dir rundir.Dir, notes io.Writer) (checkpoint.Choice, error) {
	c, err := checkpoint.Choose(string(dir), checkpoint.Weights, func(text string) { fmt.Fprintln(notes, text) })
	if err != nil {
		return c, exit.Wrap(exit.Usage, "name a run with --run or a model's folder with --model", err)
	}
	if d := c.Damaged(); d != nil {
		hint := fmt.Sprintf("restore it from a copy; `gramme up --run %s` sets it aside and trains its steps again", dir)
		if c.Step > 0 {
			hint = fmt.Sprintf("the checkpoint of step %d verifies: `gramme predict --model %s` uses it, `gramme up --run %s` resumes from it", c.Step, c.Folder, dir)
		}
		return c, exit.Wrap(exit.Verify, hint, d.Reason)
	}
	if c.Step == 0 {
		return c, exit.Wrap(exit.Usage, "train first: gramme up --run "+string(dir), fmt.Errorf("the run at %s has no checkpoint", dir))
	}
	for _, p := range c.PassedOver {
		fmt.Fprintf(notes, "note: %s; this is the one of step %d\n", p, c.Step)
	}
	if c.Unproven != nil {
		fmt.Fprintf(notes, "note: the checkpoint matches its manifest, but was not compared with the ledger: %v\n", c.Unproven)
	}
	return c, nil
}

// verifyModel checks the folder of a model against its manifest, if it has one.
func verifyModel(folder string, notes io.Writer) error {
	verified, err := checkpoint.CheckModel(folder, func(text string) { fmt.Fprintln(notes, text) })
	if damage := (*checkpoint.DamageError)(nil); errors.As(err, &damage) {
		return exit.Wrap(exit.Verify, "restore it from a copy; a folder without manifest.json is read without verification", err)
	}
	if err != nil {
		return exit.Wrap(exit.Usage, "name a run with --run or a model's folder with --model", err)
	}
	if !verified {
		fmt.Fprintf(notes, "note: %s has no manifest: its files were not verified\n", folder)
	}
	return nil
}
