package program

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/suggest"
	"github.com/gramme-project/gramme/runspec"
)

// FlagError is an error in the flags of a command, with the flag that was probably
// meant, if there is one.
func FlagError(c *cobra.Command, err error) error {
	hint := fmt.Sprintf("`%s --help` lists the flags", c.CommandPath())
	unknown := (*pflag.NotExistError)(nil)
	if errors.As(err, &unknown) {
		if near := nearestFlag(c, unknown.GetSpecifiedName()); near != "" {
			hint = fmt.Sprintf("did you mean --%s? %s", near, hint)
		}
	}
	return exit.Wrap(exit.Usage, hint, err)
}

// nearestFlag finds a flag by its name, or by its name without the group that it begins
// with, as --lr for --optimizer-lr.
func nearestFlag(c *cobra.Command, typed string) string {
	var flags, names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		_, within, grouped := strings.Cut(f.Name, "-")
		if !grouped {
			within = f.Name
		}
		flags, names = append(flags, f.Name), append(names, f.Name, within)
	})
	if i := suggest.Nearest(typed, names); i >= 0 {
		return flags[i/2]
	}
	return ""
}

// CheckEnvironment finds names of this program's in the environment that were mistyped.
func CheckEnvironment() error {
	return exit.Wrap(exit.Usage, "`gramme config` lists the keys; in the environment they begin with GRAMME_", runspec.CheckEnvironment(os.Environ()))
}
