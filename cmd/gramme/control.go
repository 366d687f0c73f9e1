package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// askFor bounds how long a request is repeated while no coordinator answers:
	// one may be taking over.
	askFor = 20 * time.Second
	// askWithin bounds one request.
	askWithin = 2 * time.Second
)

func scaleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "scale N",
		Short: "set how many workers take part in a run that is up",
		Long: `Returns when the change is accepted; with --wait when it is done. N lies within the
range that the run was started with (gramme up --workers min:max).`,
		Example: "  gramme scale --run runs/mine 2",
		Args:    cobra.ExactArgs(1),
	}
	run := runFlag(c)
	cluster := clusterflags.AddJoin(c)
	wait := c.Flags().Bool("wait", false, "wait until that many workers train")
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return exit.Wrap(exit.Usage, "gramme scale --run DIR N", fmt.Errorf("scale: %q is no number of workers", args[0]))
		}
		return request(c.Context(), asked{rundir.Dir(*run), cluster}, wire.Control{Verb: "scale", Count: n}, *wait, func(s wire.Status) bool {
			return members(s) == n
		})
	}
	return c
}

func drainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "drain ID",
		Short:   "let a worker leave after the step that it is at",
		Long:    "Returns when the change is accepted; with --wait when the worker has left.",
		Example: "  gramme drain --run runs/mine w2",
		Args:    cobra.ExactArgs(1),
	}
	run := runFlag(c)
	cluster := clusterflags.AddJoin(c)
	wait := c.Flags().Bool("wait", false, "wait until the worker has left")
	c.RunE = func(c *cobra.Command, args []string) error {
		return request(c.Context(), asked{rundir.Dir(*run), cluster}, wire.Control{Verb: "drain", Worker: args[0]}, *wait, func(s wire.Status) bool {
			for _, p := range s.Processes {
				if p.Role == wire.RoleWorker && p.ID == args[0] {
					return false
				}
			}
			return true
		})
	}
	return c
}

// members counts the workers in the ring.
func members(s wire.Status) int {
	n := 0
	for _, p := range s.Processes {
		if p.Role == wire.RoleWorker && p.Rank >= 0 {
			n++
		}
	}
	return n
}

// request asks the coordinator of a run that is up, and waits, if told to, until
// the status says that it is done.
func request(ctx context.Context, a asked, control wire.Control, wait bool, done func(wire.Status) bool) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	e, err := a.endpoint()
	if err != nil {
		return fmt.Errorf("%s: %w", control.Verb, err)
	}
	dialing, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	conn, err := e.DialNATS(dialing, control.Verb)
	if err != nil {
		return err
	}
	defer conn.Close()
	body, err := wire.Encode(control)
	if err != nil {
		return err
	}
	var reply wire.Reply
	for end := time.Now().Add(askFor); ; {
		within, cancel := context.WithTimeout(ctx, askWithin)
		m, err := conn.RequestWithContext(within, wire.SubjectsOf(e.Run).Control(), body)
		cancel()
		if err == nil {
			if err := wire.Decode(m.Data, &reply); err != nil {
				return err
			}
			break
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("%s: no coordinator answers: %w", control.Verb, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if reply.Error != "" {
		return exit.Wrap(exit.Usage, "`gramme status` shows who is there", errors.New(reply.Error))
	}
	for wait {
		s, err := a.status(ctx)
		switch {
		case err != nil:
			return err
		case s.State == wire.StateDone || s.State == wire.StateStopped:
			return fmt.Errorf("%s: the run has ended meanwhile", control.Verb)
		case s.State == wire.StateTraining && done(s):
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
