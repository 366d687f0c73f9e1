package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/coordinator"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
)

func coordinatorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "coordinator",
		Short: "run a coordinator of a cluster",
		Long: `Decides which worker trains what, and serves corpus shards. Several may run: etcd elects
one, and another takes over when it is gone. No training step waits for it.`,
		Args: cobra.NoArgs,
	}
	run := runFlag(c)
	id := c.Flags().String("id", wire.IDCoordinator, "`name` of this process")
	cluster := clusterflags.Add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		dir := rundir.Dir(*run)
		return startRole(c.Context(), saying(c), cluster, dir, role.Options{
			Role: wire.RoleCoordinator, ID: *id, Energy: dir.Energy(), Phase: energy.Idle,
		}, func(ctx context.Context, r *role.Role) error {
			// One that `gramme up` started gets its endpoint by the environment, and
			// `gramme up` says it itself.
			if _, err := endpoint.FromEnviron(os.Environ()); err != nil && r.Endpoint.Shared {
				invite(c.ErrOrStderr(), r.Endpoint)
			}
			return coordinator.Run(ctx, coordinator.Config{
				ID: *id, Host: r.Host, PID: os.Getpid(), Spec: r.Spec, CorpusDir: dir.Corpus(), Store: r.Store,
				Bus: r.Bus, Log: r.Log, Software: buildinfo.Software(), Meter: r.Meter.Totals,
			})
		})
	}
	return c
}
