// Command trial runs parts of a trial by themselves: a cluster of etcd and NATS, and a
// bad network between two hosts. scripts/cluster and scripts/bench build and start it.
//
// It guarantees that nothing is left when it ends, however it ends, but the files of a
// cluster that was killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/trials/chaos/slowlink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	root := &cobra.Command{Use: "trial", Short: "run parts of a trial by themselves", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.Wrap(exit.Usage, "", fmt.Errorf("%w\n%s", err, c.UsageString()))
	})
	root.AddCommand(clusterCommand(), memberCommand(), linkCommand())
	err := root.ExecuteContext(ctx)
	stop()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) { // the command has said why
		os.Exit(max(failed.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(exit.Code(err))
}

func linkCommand() *cobra.Command {
	var cfg slowlink.Config
	var a, b slowlink.Host
	c := &cobra.Command{Use: "link", Short: "join two network namespaces by a bad network until interrupted", Args: cobra.NoArgs}
	c.Flags().DurationVar(&cfg.Delay, "delay", 0, "of every packet, in each direction")
	c.Flags().DurationVar(&cfg.Jitter, "jitter", 0, "up to so much more, or less")
	c.Flags().Float64Var(&cfg.Loss, "loss", 0, "share of the packets that are dropped")
	c.Flags().Float64Var(&cfg.Rate, "rate", 0, "bits a second; 0: unlimited")
	c.Flags().DurationVar(&cfg.Queue, "queue", 0, "how long a packet may wait for its turn")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 1, "of what is drawn")
	for name, h := range map[string]*slowlink.Host{"a": &a, "b": &b} {
		c.Flags().StringVar(&h.Namespace, name, "", "network namespace of a host")
		c.Flags().StringVar(&h.Address, name+"-address", "", "its address")
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		l, err := slowlink.New(cfg, a, b)
		if err != nil {
			return err
		}
		fmt.Println("up")
		return l.Run(c.Context())
	}
	return c
}
