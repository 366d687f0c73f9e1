package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/words"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit DIR",
		Short: "verify a run's ledger and checkpoints offline and print the account",
		Long: `Verifies every entry, hash, signature and proof of the ledger, every file of every
checkpoint, and that the energy adds up, without a network or a running process.
Exit code 0 only if everything verifies; otherwise the place is named.

With --head and a copy of DIR/ledger/head that was kept elsewhere during the run, the
audit also shows that nothing was removed from the ledger or rewritten since.`,
		Args: cobra.ExactArgs(1),
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	heads := c.Flags().StringArray("head", nil, "a `FILE` with an earlier head of the ledger, which the ledger must extend; may be repeated")
	c.RunE = func(c *cobra.Command, args []string) error {
		var held []ledger.NamedHead
		for _, path := range *heads {
			note, err := os.ReadFile(path)
			if err != nil {
				return exit.Wrap(exit.Usage, "name a copy of DIR/ledger/head", fmt.Errorf("read head: %w", err))
			}
			held = append(held, ledger.NamedHead{Name: path, Note: note})
		}
		report, err := checkpoint.Audit(args[0], held...)
		if errors.Is(err, checkpoint.ErrNoLedger) {
			return exit.Wrap(exit.Usage, "name the folder of a run, as runs/quickstart", err)
		}
		if err != nil {
			hint := "compare the named file with a copy that was kept elsewhere"
			if errors.Is(err, checkpoint.ErrPendingReadings) {
				hint = fmt.Sprintf("`%s` adds the readings that were not sent; compare anything else with a copy that was kept elsewhere", words.Command("gramme", "up", "--run", args[0]))
			}
			return exit.Wrap(exit.Verify, hint, err)
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), report)
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), report)
		return err
	}
	return c
}
