// Command gramme pretrains BERT encoders on an elastic cluster and accounts for
// every joule. It is a thin shell: one file a verb.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
)

func main() {
	process.FixInherited()
	process.ShowName()
	parent := process.OpenReporter()
	os.Exit(run(os.Args[1:], parent))
}

func run(args []string, parent *process.Reporter) int {
	root := rootCommand()
	root.SetArgs(args)
	return program.End(interrupted(root.ExecuteContext(context.Background())), parent, program.Spoken)
}

// unchecked are the commands that work in any environment.
var unchecked = []string{"gramme", "help", "version"}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:         "gramme",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: program.Command()},
		Short:       "pretrain BERT encoders on an elastic cluster, and account for every joule",
		Long: `gramme pretrains BERT-family encoders on workers that may join, leave and die at any
time. The weights end up the same, bit for bit, and the energy of the run is recorded
in a signed ledger that anyone can verify offline.`,
		Version:       buildinfo.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if slices.Contains(unchecked, c.Name()) {
				return nil
			}
			return program.CheckEnvironment()
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(program.FlagError)
	root.AddCommand(
		upCommand(), statusCommand(), scaleCommand(), drainCommand(), auditCommand(), predictCommand(), corpusCommand(), prepareCommand(), samplesCommand(),
		configCommand(), chaosCommand(), doctorCommand(), workerCommand(), coordinatorCommand(), checkpointCommand(), versionCommand(),
	)
	usageErrors(root)
	return root
}

// usageErrors gives errors in the arguments of a command and its subcommands the exit
// code of bad usage and a hint.
func usageErrors(c *cobra.Command) {
	c.Example = strings.ReplaceAll(c.Example, "  gramme ", "  "+program.Command()+" ")
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			hint := fmt.Sprintf("`%s --help` shows the usage", c.CommandPath())
			if c.HasSubCommands() && len(args) > 0 {
				if near := nearestVerb(c, args[0]); near != "" {
					hint = fmt.Sprintf("did you mean `%s %s`? %s", c.CommandPath(), near, hint)
				}
			}
			return exit.Wrap(exit.Usage, hint, check(c, args))
		}
	}
	for _, below := range c.Commands() {
		usageErrors(below)
	}
}
