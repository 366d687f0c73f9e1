// Command trialcluster runs a trial cluster until it is interrupted, or a command
// beside one. scripts/cluster builds and starts it.
//
// It guarantees that nothing is left when it ends, however it ends, but the files
// of one that was killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gramme-project/gramme/trials/cluster"
)

const usage = `usage: scripts/cluster [--host ADDRESS] [--members N]                  run a cluster until interrupted; prints the flags that use it
       scripts/cluster [--host ADDRESS] [--members N] run COMMAND...   run a command with these flags in its environment`

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) == 2 && args[0] == "member" {
		return 0, cluster.Serve(ctx, args[1])
	}
	var o cluster.Options
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Host, "host", "", "")
	flags.IntVar(&o.Each, "members", cluster.Size, "")
	err := flags.Parse(args)
	args = flags.Args()
	if err == nil && o.Each > 0 && (len(args) == 0 || len(args) > 1 && args[0] == "run") {
		return serveAll(ctx, o, args)
	}
	fmt.Fprintln(os.Stderr, usage)
	return 2, nil
}

// serveAll runs all members, and a command beside them.
func serveAll(ctx context.Context, o cluster.Options, args []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "gramme-cluster-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	o.Dir, o.Command = dir, []string{self, "member"}
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, m := range c.Members("") {
		fmt.Fprintf(os.Stderr, "%s: %s, process %d\n", m.Name, m.Address, m.PID())
	}
	if len(args) == 0 {
		fmt.Println(strings.Join(c.Flags(), " "))
		fmt.Fprintln(os.Stderr, "up until interrupted")
		<-ctx.Done()
		return 0, nil
	}
	return beside(args[1:], c.Environ())
}

// beside runs a command with more in its environment and returns its exit code.
func beside(args, environ []string) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), environ...)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start %s: %w", filepath.Base(args[0]), err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// A terminal interrupts the command as well; who terminates this process
	// does not.
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	defer signal.Stop(terminate)
	for {
		select {
		case err := <-ended:
			return exitCode(err)
		case <-terminate:
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 1, err
			}
		}
	}
}

func exitCode(err error) (int, error) {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
