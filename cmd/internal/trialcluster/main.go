// Command trialcluster runs three etcd members and three NATS servers on this
// machine, each a process of its own, with TLS and client certificates of an
// authority of their own: to try how Gramme runs on a cluster that exists.
//
// It guarantees that nothing is left when it ends, however it ends, but the files
// of one that was killed. scripts/cluster builds and starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gramme-project/gramme/internal/process"
)

const usage = `usage: scripts/cluster                  run a cluster until interrupted; prints the flags that use it
       scripts/cluster run COMMAND...   run a command with these flags in its environment`

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
	switch {
	case len(args) == 2 && args[0] == "member":
		return 0, member(ctx, args[1])
	case len(args) == 0, len(args) > 1 && args[0] == "run":
		return cluster(ctx, args)
	}
	fmt.Fprintln(os.Stderr, usage)
	return 2, nil
}

// cluster runs all members, and a command beside them.
func cluster(ctx context.Context, args []string) (code int, err error) {
	dir, err := os.MkdirTemp("", "gramme-cluster-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	starter := process.NewStarter()
	defer starter.Close() // kills what still lives
	c, err := start(ctx, starter, dir)
	defer c.end()
	if err != nil {
		return 1, err
	}
	for _, m := range c.members {
		fmt.Fprintf(os.Stderr, "%s: %s, process %d\n", m.name, m.address, m.process.PID)
	}
	if len(args) == 0 {
		fmt.Println(strings.Join(c.flags(), " "))
		fmt.Fprintln(os.Stderr, "up until interrupted")
		<-ctx.Done()
		return 0, nil
	}
	return c.beside(args[1:])
}

// beside runs a command with the flags in its environment and returns its exit
// code.
func (c *members) beside(args []string) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), c.environ()...)
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
