package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// askFor bounds how long a request is repeated while no coordinator answers:
	// one may be taking over.
	askFor = 20 * time.Second
	// waitFor bounds --wait: workers start within a minute, and a step of a large
	// model may take some.
	waitFor = 15 * time.Minute
)

func scaleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "scale N",
		Short: "set the number of workers of a run that is up",
		Long: `Returns when the change is accepted; with --wait, when it is done. N must be within
the range with which the run was started (gramme up --workers min:max).`,
		Example: "  gramme scale --run runs/mine 2",
		Args:    cobra.ExactArgs(1),
	}
	run := runFlag(c)
	cluster := clusterflags.AddJoin(c)
	wait := c.Flags().Bool("wait", false, "wait until that many workers train")
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return exit.Wrap(exit.Usage, "`gramme scale --run DIR N`", fmt.Errorf("scale: %q is not a number of workers", args[0]))
		}
		ctx, stop := interruptible(c.Context())
		defer stop()
		return request(ctx, target{rundir.Dir(*run), cluster, saying(c)}, wire.Control{Verb: wire.VerbScale, Count: n}, *wait, func(s wire.Status) bool {
			return s.Members() == n
		})
	}
	return c
}

func drainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "drain ID",
		Short:   "let a worker leave after its current step",
		Long:    "Returns when the change is accepted; with --wait, when the worker has left.",
		Example: "  gramme drain --run runs/mine w2",
		Args:    cobra.ExactArgs(1),
	}
	run := runFlag(c)
	cluster := clusterflags.AddJoin(c)
	wait := c.Flags().Bool("wait", false, "wait until the worker has left")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c.Context())
		defer stop()
		return request(ctx, target{rundir.Dir(*run), cluster, saying(c)}, wire.Control{Verb: wire.VerbDrain, Worker: args[0]}, *wait, func(s wire.Status) bool {
			return !slices.ContainsFunc(s.Processes, func(p wire.Process) bool { return p.Role == wire.RoleWorker && p.ID == args[0] })
		})
	}
	return c
}

// request asks the coordinator of a run that is up, and waits, if told to, until
// the status says that it is done.
func request(ctx context.Context, a target, control wire.Control, wait bool, done func(wire.Status) bool) error {
	e, err := a.endpoint()
	if err != nil {
		return fmt.Errorf("%s: %w", control.Verb, err)
	}
	err = a.ask(ctx, e, askFor, askFor, func(ctx context.Context, conn bus.Conn) error {
		return bus.Deliver(ctx, conn, wire.SubjectsOf(e.Run).Control(), control)
	})
	if refused := (*bus.RefusedError)(nil); errors.As(err, &refused) {
		return exit.Wrap(exit.Usage, "`gramme status` lists the workers", refused)
	}
	if err != nil {
		return exit.Wrap(exit.Failure, "check with `gramme status` that the run is up", fmt.Errorf("%s: no coordinator answers: %w", control.Verb, err))
	}
	if !wait {
		return nil
	}
	return waiting.For(ctx, a.say, fmt.Sprintf("the run to carry it out (%s)", control.Verb), waitFor, func(ctx context.Context) error {
		return waiting.Retry(ctx, waiting.Every(200*time.Millisecond), func(ctx context.Context) (bool, error) {
			s, err := a.status(ctx)
			if err == nil && (s.State == wire.StateDone || s.State == wire.StateStopped) {
				err = fmt.Errorf("%s: the run ended meanwhile", control.Verb)
			}
			return err != nil || s.State == wire.StateTraining && done(s), err
		})
	})
}
