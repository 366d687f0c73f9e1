package main

import (
	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/trials/cluster"
)

// memberVerb is what a process of a trial cluster is started with.
const memberVerb = "trial-member"

// memberCommand is not for users: `gramme chaos` starts it.
func memberCommand() *cobra.Command {
	return &cobra.Command{
		Use: memberVerb + " FILE", Short: "run one member of a trial cluster of etcd and NATS", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return cluster.Serve(ctx, args[0])
		},
	}
}
