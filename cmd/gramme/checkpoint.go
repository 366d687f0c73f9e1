package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
)

func checkpointCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "run the checkpoint service of a cluster",
		Long: `Receives slices of the state and energy readings from the workers and persists
weights, optimizer state and the energy ledger together under the run's folder.`,
		Args: cobra.NoArgs,
	}
	run := runFlag(c)
	id := c.Flags().String("id", wire.IDCheckpoint, "`name` of this process")
	cluster := clusterflags.Add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		// The service's own readings go into the ledger that it holds, which is
		// open for longer than the process meters.
		var service atomic.Pointer[checkpoint.Service]
		err := startRole(c.Context(), saying(c), cluster, rundir.Dir(*run), role.Options{
			Role: wire.RoleCheckpoint, ID: *id, Energy: rundir.Dir(*run).Energy(), Phase: energy.Checkpoint,
			Append: func(ctx context.Context, records []energy.Record) error {
				s := service.Load()
				if s == nil {
					return errors.New("the ledger is not open yet")
				}
				return s.Append(ctx, records)
			},
		}, func(ctx context.Context, r *role.Role) error {
			s, err := checkpoint.Open(checkpoint.Config{
				ID: *id, RunDir: *run, Spec: r.Spec, Bus: r.Bus, Log: r.Log, Software: buildinfo.Software(),
			})
			if err != nil {
				return storeError(err)
			}
			service.Store(s)
			return storeError(s.Run(ctx))
		})
		if s := service.Load(); s != nil {
			err = errors.Join(err, s.Close())
		}
		return err
	}
	return c
}

// storeError gives an error of the store its exit code.
func storeError(err error) error {
	fault := (*ledger.Fault)(nil)
	if errors.As(err, &fault) {
		return exit.Wrap(exit.Verify, "`gramme audit` names the file that does not verify; restore the folder from a copy, or start another run", err)
	}
	return err
}

// startRole runs a process of the cluster that flags or environment name, until
// it ends or is asked to.
func startRole(ctx context.Context, say waiting.Say, cluster *clusterflags.Flags, dir rundir.Dir, o role.Options, f func(context.Context, *role.Role) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	// A process that is asked to end before it started ends without an error.
	begun := func(err error) error {
		if errors.Is(err, errInterrupted) {
			return nil
		}
		return err
	}
	var err error
	o.Say = say
	if o.Endpoint, err = cluster.Find(ctx, say, dir); err != nil {
		return begun(err)
	}
	r, err := role.Start(ctx, o)
	if err != nil {
		return begun(err)
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
