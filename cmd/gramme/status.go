package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

const (
	// statusWithin bounds the whole wait for the coordinator, on a busy machine.
	statusWithin = 10 * time.Second
	// answerWithin bounds one request: the coordinator that received it may be dead.
	answerWithin = 3 * time.Second
	// retryWithin is how long there may be no coordinator: one may be restarting.
	retryWithin = 2 * time.Second
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
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return showStatus(c.OutOrStdout(), s)
	}
	return c
}

// target is the run that a command is about: the run of a folder, or one on other
// machines that flags name.
type target struct {
	dir     rundir.Dir
	cluster *clusterflags.Flags
	say     waiting.Say // reports waits
}

// endpoint returns how to reach the run, or an error where it is not up.
func (a target) endpoint() (endpoint.Endpoint, error) {
	if a.cluster.OnCommandLine() {
		run, err := a.cluster.Run(a.dir)
		if err != nil {
			return endpoint.Endpoint{}, err
		}
		return a.cluster.Endpoint(run)
	}
	e, err := endpoint.ReadFile(a.dir.Endpoint())
	if err != nil || !a.dir.Locked() {
		return e, exit.Wrap(exit.Usage, "`"+words.Command("gramme", "up", "--run", string(a.dir))+"` starts it", fmt.Errorf("the run at %s is not up", a.dir))
	}
	return e, nil
}

// status asks the coordinator, or reads the folder if there is none.
func (a target) status(ctx context.Context) (wire.Status, error) {
	if a.cluster.OnCommandLine() {
		e, err := a.endpoint()
		if err != nil {
			return wire.Status{}, err
		}
		s, err := a.ask(ctx, e)
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
		s, err := a.ask(ctx, e)
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

// ask waits for the coordinator's answer.
func (a target) ask(ctx context.Context, e endpoint.Endpoint) (s wire.Status, err error) {
	err = waiting.For(ctx, a.say, "the coordinator of run "+e.Run+" to answer", statusWithin, func(ctx context.Context) error {
		s, err = askStatus(ctx, e)
		return err
	})
	return s, err
}

func askStatus(ctx context.Context, e endpoint.Endpoint) (wire.Status, error) {
	var s wire.Status
	conn, err := e.DialBus(ctx, "status")
	if err != nil {
		return s, err
	}
	defer conn.Close()
	for begun := time.Now(); ; {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		s, err := bus.Request[wire.Status](within, conn, wire.SubjectsOf(e.Run).Status(), nil)
		cancel()
		if refused := (*bus.RefusedError)(nil); err == nil || errors.As(err, &refused) {
			return s, err
		}
		absent := !errors.Is(err, context.DeadlineExceeded) // nobody listens
		if ctx.Err() != nil || absent && time.Since(begun) > retryWithin {
			return s, err
		}
		if err := waiting.Rest(ctx, 50*time.Millisecond); err != nil {
			return s, err
		}
	}
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
	brief, err := checkpoint.ReadBrief(newest.Folder)
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
func describeStored(s *wire.Status, spec runspec.Spec, dir rundir.Dir, b checkpoint.Brief) error {
	s.Generation, s.Mixed, s.Tokens = b.Manifest.Generation, b.Manifest.Numerics.Mixed, b.State.Tokens
	layout := newLayout(spec, spec.VocabSize)
	s.LearningRate = number.Known(spec.Rule(layout).Optimizer.Rate(b.State.Step, spec.Steps))
	if l := b.Manifest.Losses; l != nil {
		s.Loss, s.MLMLoss, s.NSPLoss = number.Known(float64(l.MLM+l.NSP)), number.Known(float64(l.MLM)), number.Known(float64(l.NSP))
		s.LossSteps = l.Steps
	}
	if text := b.State.Course.Finding().Warning(spec.Optimizer.LR); text != "" {
		s.Warnings = append(s.Warnings, wire.Warning{Kind: wire.WarnDivergence, Text: text})
	}
	e, err := readEvaluation(dir, s.Step)
	if err == nil {
		s.TokensPerSecond = number.Positive(float64(e.TokensPerSecond))
	}
	return err
}

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
