//go:build cgo

// Command gramme-worker is everything that needs libtorch: it trains as a member
// of a cluster, measures speed, evaluates and predicts. `gramme` starts it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/words"
)

func main() {
	process.FixInherited()
	process.ShowName()
	parent = process.OpenReporter()
	root := &cobra.Command{
		Use: self(), Short: "the part of gramme that is linked with libtorch",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: words.Quote(program.Name())},
		Version:     buildinfo.Version, SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(program.FlagError)
	root.AddCommand(runCommand(), deviceCommand(), measureCommand(), evaluateCommand(), predictCommand())
	for _, c := range append(root.Commands(), root) {
		check := c.Args
		c.Args = func(c *cobra.Command, args []string) error {
			return exit.Wrap(exit.Usage, fmt.Sprintf("`%s --help` shows the usage", c.CommandPath()), check(c, args))
		}
	}
	if self() == outer {
		root.PersistentPreRunE = func(*cobra.Command, []string) error { return program.CheckEnvironment() }
	}
	os.Exit(tell(root.ExecuteContext(context.Background())))
}

// tell prints the error of this process and reports it to the parent.
func tell(err error) (code int) { return program.End(err, parent, spoken) }

// parent receives the result of this process.
var parent = &process.Reporter{}

// spoken turns the commands in a text into ones that can be pasted. If another program
// started this one under its own name, that program does so itself.
func spoken(text string) string {
	if self() != outer {
		return text
	}
	return program.Spoken(text)
}

// outer is the name of this program when `gramme` has been replaced by it.
const outer = "gramme"

// self is the name under which a user knows this program.
func self() string {
	if filepath.Base(os.Args[0]) == outer {
		return outer
	}
	return "gramme-worker"
}
