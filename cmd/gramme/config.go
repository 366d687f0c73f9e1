package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// explainChoices adds to the origins of an existing run's settings why a measurement chose
// them.
func explainChoices(dir rundir.Dir, spec runspec.Spec, origins runspec.Origins) {
	for _, c := range choices(dir, spec) {
		for _, key := range c.keys {
			if origins[key] == dir.Spec() {
				origins[key] += ", measured: " + c.text
			}
		}
	}
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config [flags] [corpus...]",
		Short: "print every configuration key, its value and the origin of the value",
		Long: `Prints the configuration that ` + "`gramme up`" + ` would use with the same flags. Precedence,
rising: default, YAML file, environment (GRAMME_...), flag. Keys marked * determine
the weights and are fixed when a run starts.`,
	}
	run := runFlag(c)
	flags := addSpecFlags(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	docs := c.Flags().Bool("markdown", false, "print the keys with their meaning as a Markdown table")
	c.RunE = func(c *cobra.Command, args []string) error {
		spec, origins, exists, err := flags.spec(rundir.Dir(*run), args)
		if err != nil {
			return err
		}
		if exists {
			explainChoices(rundir.Dir(*run), spec, origins)
		}
		out := c.OutOrStdout()
		switch {
		case *asJSON:
			type value struct {
				Value  string `json:"value"`
				Origin string `json:"origin"`
				Fixed  bool   `json:"fixed"`
			}
			all := map[string]value{}
			for _, k := range runspec.Keys() {
				all[k.Name] = value{spec.Text(k), origins[k.Name], k.Identity}
			}
			return printJSON(out, all)
		case *docs:
			fmt.Fprintln(out, "| key | default | fixed | meaning |\n|---|---|---|---|")
			for _, k := range runspec.Keys() {
				fixed := ""
				if k.Identity {
					fixed = "yes"
				}
				value := spec.Text(k)
				if value != "" {
					value = "`" + value + "`"
				}
				fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", k.Name, value, fixed, k.Doc)
			}
			return nil
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, k := range runspec.Keys() {
			mark := ""
			if k.Identity {
				mark = "*"
			}
			fmt.Fprintf(w, "%s%s\t%s\t%s\n", k.Name, mark, spec.Text(k), origins[k.Name])
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, s := range spec.Warnings() {
			c.PrintErrln("warning: " + s)
		}
		return nil
	}
	return c
}
