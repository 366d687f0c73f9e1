package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

const (
	// statusWithin bounds the whole wait for the coordinator, on a busy machine.
	statusWithin = 10 * time.Second
	// absentFor is how long there may be no coordinator: one may be restarting.
	absentFor = 2 * time.Second
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "show the state of a run",
		Args:  cobra.NoArgs,
	}
	run := runFlag(c)
	cluster := clusterflags.AddJoin(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c.Context())
		defer stop()
		s, err := target{rundir.Dir(*run), cluster, saying(c)}.status(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), s)
		}
		return showStatus(c.OutOrStdout(), s)
	}
	return c
}

// status asks the coordinator, or reads the folder if there is none. What was chosen for the
// run is in its folder only.
func (a target) status(ctx context.Context) (wire.Status, error) {
	s, err := a.askOrRead(ctx)
	if err != nil || s.Run == "" || a.cluster.OnCommandLine() {
		return s, err
	}
	if spec, err := runspec.Read(a.dir.Spec()); err == nil { // a damaged one was reported
		for _, c := range choices(a.dir, spec) {
			s.Choices = append(s.Choices, c.text)
		}
	}
	return s, nil
}

func (a target) askOrRead(ctx context.Context) (wire.Status, error) {
	if a.cluster.OnCommandLine() {
		e, err := a.endpoint()
		if err != nil {
			return wire.Status{}, err
		}
		s, err := a.askStatus(ctx, e)
		if err != nil {
			err = exit.Wrap(exit.Failure, "check that the run is up, and that this is its name", fmt.Errorf("status: no coordinator of run %s answers: %w", e.Run, err))
		}
		return s, err
	}
	if _, err := os.Stat(string(a.dir)); err != nil {
		return wire.Status{}, exit.Wrap(exit.Usage, "name the folder of a run with --run", fmt.Errorf("status: no run at %s", a.dir))
	}
	e, err := a.endpoint()
	if err == nil {
		s, err := a.askStatus(ctx, e)
		if err == nil {
			if !e.Shared { // all processes are on this machine
				s.Processes = running(s.Processes, meter.Host())
			}
			return s, nil
		}
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
	}
	if err == nil || a.dir.Locked() {
		s, err := storedStatus(a.dir)
		s.State, s.Reason = wire.StatePreparing, "no coordinator answers yet"
		if s.Run == "" {
			s.Reason = "the corpus and the settings of the run are being prepared"
		}
		return s, err
	}
	return storedStatus(a.dir)
}

// running removes processes that have ended: the machine knows it sooner than a
// coordinator, which waits for a heartbeat of the replacement.
func running(all []wire.Process, host string) []wire.Process {
	return slices.DeleteFunc(all, func(p wire.Process) bool { return p.Host == host && process.Gone(p.PID) })
}

// storedStatus is the status of a run that is not up, from its folder.
func storedStatus(dir rundir.Dir) (wire.Status, error) {
	s := wire.Status{State: wire.StatePreparing, Reason: "no run has started here", Processes: []wire.Process{}}
	spec, err := runspec.Read(dir.Spec())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, damagedSpec(err)
	}
	s.Run, s.Steps, s.State, s.Reason = spec.Run, spec.Steps, wire.StateStopped, ""
	depth := checkpoint.Complete
	if dir.Locked() { // a service verifies it, and status may be asked often
		depth = checkpoint.Sizes
	}
	newest, err := checkpoint.Choose(string(dir), depth, func(text string) { fmt.Fprintln(os.Stderr, text) })
	if err != nil {
		return s, err
	}
	s.Step, s.Checkpoint = newest.Step, newest.Step
	for _, p := range newest.PassedOver {
		s.Warnings = append(s.Warnings, wire.Warning{Kind: wire.WarnCheckpoint, Subject: p.Folder, Text: p.String()})
	}
	if s.Step >= s.Steps {
		s.State = wire.StateDone
	}
	if newest.Folder == "" {
		return s, nil
	}
	brief, err := checkpoint.ReadSummary(newest.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // a newer checkpoint replaced it meanwhile
	}
	if err == nil {
		err = describeStored(&s, spec, dir, brief)
	}
	return s, err
}

// describeStored adds the data of the newest checkpoint and its evaluation to the status
// of a run that is not up. There is no power: nothing measures it.
func describeStored(s *wire.Status, spec runspec.Spec, dir rundir.Dir, b checkpoint.Summary) error {
	s.Generation, s.Mixed, s.Tokens = b.Manifest.Generation, b.Manifest.Numerics.Mixed, b.State.Tokens
	layout := newLayout(spec, spec.VocabSize)
	s.LearningRate = number.Known(spec.Rule(layout).Optimizer.Rate(b.State.Step, spec.Steps))
	if l := b.Manifest.Losses; l != nil {
		s.Loss, s.MLMLoss, s.NSPLoss = number.Known(float64(l.MLM+l.NSP)), number.Known(float64(l.MLM)), number.Known(float64(l.NSP))
		s.LossSteps = l.Steps
	}
	if text := b.State.History.Finding().Warning(spec.Optimizer.LR); text != "" {
		s.Warnings = append(s.Warnings, wire.Warning{Kind: wire.WarnDivergence, Text: text})
	}
	e, err := readEvaluation(dir, s.Step)
	if err == nil {
		s.TokensPerSecond = number.Positive(float64(e.TokensPerSecond))
	}
	return err
}
