package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

func clusterCommand() *cobra.Command {
	var o cluster.Options
	c := &cobra.Command{
		Use: "cluster [flags] [run COMMAND...]", Short: "run a cluster of etcd and NATS until interrupted, or for as long as a command that uses it",
		Args: func(_ *cobra.Command, args []string) error {
			if o.Each < 1 || len(args) > 0 && (args[0] != "run" || len(args) == 1) {
				return exit.Wrap(exit.Usage, "", errors.New("usage: scripts/cluster [--host ADDRESS] [--members N] [run COMMAND...]"))
			}
			return nil
		},
	}
	c.Flags().SetInterspersed(false) // the arguments after run belong to the command
	c.Flags().StringVar(&o.Host, "host", "", "`address` to listen on; loopback by default")
	c.Flags().IntVar(&o.Each, "members", cluster.Size, "members of etcd and of NATS")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Dir, err = os.MkdirTemp("", "gramme-cluster-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.Command = []string{self, "member"}
		services, err := cluster.Start(c.Context(), o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, services.Close()) }()
		for _, m := range services.Members("") {
			fmt.Fprintf(os.Stderr, "%s: %s, process %d\n", m.Name, m.Address, m.PID())
		}
		if len(args) > 0 {
			return beside(args[1:], services.Environ())
		}
		fmt.Println(strings.Join(services.Flags(), " "))
		fmt.Fprintln(os.Stderr, "up until interrupted")
		<-c.Context().Done()
		return nil
	}
	return c
}

// memberCommand is what clusterCommand starts.
func memberCommand() *cobra.Command {
	return &cobra.Command{
		Use: "member FILE", Short: "be one member of a cluster", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error { return cluster.Serve(c.Context(), args[0]) },
	}
}

// beside runs a command with more in its environment. A terminal interrupts the command
// as well; SIGTERM is passed on to it.
func beside(args, environ []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); !errors.Is(err, context.Canceled) { // else it was terminated, and ended in order
		return err
	}
	return nil
}
