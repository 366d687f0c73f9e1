// Command cluster runs etcd and NATS on this machine until interrupted, or for as long as
// a command that uses them. scripts/cluster builds and starts it.
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
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c := command()
	c.AddCommand(&cobra.Command{ // what the other starts
		Use: "member FILE", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error { return cluster.Serve(c.Context(), args[0]) },
	})
	err := c.ExecuteContext(ctx)
	stop()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) { // the command has said why
		os.Exit(max(failed.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(exit.Code(err))
}

func command() *cobra.Command {
	var o cluster.Options
	usage := func(_ *cobra.Command, err error) error {
		return exit.Wrap(exit.Usage, "", fmt.Errorf("%w\nusage: scripts/cluster [--host ADDRESS] [--members N] [run COMMAND...]", err))
	}
	c := &cobra.Command{
		Use: "cluster", SilenceErrors: true, SilenceUsage: true,
		Args: func(c *cobra.Command, args []string) error {
			if o.Each < 1 || len(args) > 0 && (args[0] != "run" || len(args) == 1) {
				return usage(c, errors.New("there is no such cluster or command"))
			}
			return nil
		},
	}
	c.SetFlagErrorFunc(usage)
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
