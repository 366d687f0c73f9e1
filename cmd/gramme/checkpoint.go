package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/energy"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/role"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
)

// joinHint is what to do when a role process does not know its cluster.
const joinHint = "`gramme up` starts this process itself; on another machine, set GRAMME_ENDPOINT as `gramme up` prints it"

func checkpointCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "run the checkpoint service of a cluster",
		Long: `Receives slices of the state and energy readings from the workers and persists
weights, optimizer state and the energy ledger together under the run's folder.`,
		Args: cobra.NoArgs,
	}
	run := runFlag(c)
	id := c.Flags().String("id", "checkpoint", "`name` of this process")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return startRole(c.Context(), role.Options{
			Role: wire.RoleCheckpoint, ID: *id, Energy: rundir.Dir(*run).Energy(), Phase: energy.Checkpoint,
		}, func(ctx context.Context, r *role.Role) error {
			return checkpoint.Run(ctx, checkpoint.Config{
				ID: *id, RunDir: *run, Spec: r.Spec, NATS: r.NATS, Log: r.Log, Software: buildinfo.Software(),
			})
		})
	}
	return c
}

// startRole runs a process of the cluster that the environment names, until it
// ends or is asked to.
func startRole(ctx context.Context, o role.Options, f func(context.Context, *role.Role) error) error {
	var err error
	if o.Endpoint, err = endpoint.FromEnviron(os.Environ()); err != nil {
		return exit.Wrap(exit.Usage, joinHint, err)
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	r, err := role.Start(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Run(ctx, func(ctx context.Context) error {
		beat, cancel := context.WithCancel(ctx)
		beating := make(chan struct{})
		go func() { defer close(beating); r.Beat(beat) }()
		defer func() { cancel(); <-beating }()
		return f(ctx, r)
	})
}
