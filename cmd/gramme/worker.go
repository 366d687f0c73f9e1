package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

// becomeWorker replaces this process by the worker's binary, so that a user sees
// one command: called "gramme" it speaks as that.
func becomeWorker(verb string, args []string) error {
	path, err := process.SiblingProgram(workerBinary)
	if err != nil {
		return exit.Wrap(exit.Resource, "build it with scripts/setup", err)
	}
	name := os.Args[0] // by which the worker's binary tells commands that can be pasted
	if filepath.Base(name) != "gramme" {
		name = "gramme"
	}
	argv := append([]string{name, verb}, args...)
	if err := syscall.Exec(path, argv, os.Environ()); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	return nil
}

func workerCommand() *cobra.Command {
	return helpFromWorker(&cobra.Command{
		Use:                "worker [flags]",
		Short:              "run one worker of a cluster",
		DisableFlagParsing: true, // they are the worker's own
		RunE: func(_ *cobra.Command, args []string) error {
			// Said here, too, so that a user who tries the command first learns what
			// it needs.
			if _, err := endpoint.FromEnviron(os.Environ()); err != nil && len(args) == 0 && !clusterflags.Add(&cobra.Command{}).Given() {
				return exit.Wrap(exit.Usage, clusterflags.JoinHint, err)
			}
			return becomeWorker("worker", args)
		},
	})
}

func predictCommand() *cobra.Command {
	return helpFromWorker(&cobra.Command{
		Use:                "predict [flags] text...",
		Short:              "fill the [MASK] of a text with a checkpoint's model",
		Example:            "  gramme predict --run runs/mine \"The function returns an [MASK].\"",
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return becomeWorker("predict", args) },
	})
}

// helpFromWorker lets the worker's binary, which knows the flags, print the help of a
// command.
func helpFromWorker(c *cobra.Command) *cobra.Command {
	usual := c.HelpFunc()
	c.SetHelpFunc(func(c *cobra.Command, args []string) {
		if err := becomeWorker(c.Name(), []string{"--help"}); err != nil {
			usual(c, args)
			c.PrintErrf("\nits flags are not known here: %v\nhint: %s\n", err, exit.Hint(err))
		}
	})
	return c
}
