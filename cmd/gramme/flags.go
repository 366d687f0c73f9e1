package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// defaultRun is the folder of a run when --run is not given.
const defaultRun = "runs/default"

// runFlag adds --run.
func runFlag(c *cobra.Command) *string {
	return c.Flags().String("run", defaultRun, "`folder` of the run")
}

// bare holds the values of flags that are given without one.
var bare = map[string]string{"mixed": "true", "keep_slow_workers": "true", "stop_on_divergence": divergence.StopLoss}

// specFlags are --config and one flag for every configuration key.
type specFlags struct {
	config *string
	like   *string // nil: the command has no such flag
	values map[string]*keyFlag
	flags  *pflag.FlagSet
}

// keyFlag is the text that was given for a key. Package runspec parses it.
type keyFlag struct{ text, kind string }

func (f *keyFlag) String() string     { return f.text }
func (f *keyFlag) Set(s string) error { f.text = s; return nil }
func (f *keyFlag) Type() string       { return f.kind }

func addSpecFlags(c *cobra.Command) *specFlags {
	f := &specFlags{values: map[string]*keyFlag{}, flags: c.Flags()}
	f.config = c.Flags().String("config", "", "YAML `file` with configuration keys")
	for _, k := range runspec.Keys() {
		if k.Name == "corpus" {
			continue // the arguments
		}
		f.values[k.Name] = &keyFlag{kind: k.Type()}
		c.Flags().Var(f.values[k.Name], k.Flag(), k.Doc)
		if value, ok := bare[k.Name]; ok {
			c.Flags().Lookup(k.Flag()).NoOptDefVal = value
		}
	}
	return f
}

// likeSettings returns the settings of the run that --like names, without its name and
// with its prepared corpus.
func (f *specFlags) likeSettings() ([]runspec.Setting, error) {
	if f.like == nil || *f.like == "" {
		return nil, nil
	}
	dir := rundir.Dir(*f.like)
	all, err := runspec.File(dir.Spec())
	if err != nil {
		return nil, exit.Wrap(exit.Usage, "name the folder of a run", fmt.Errorf("--like %s: %w", *f.like, err))
	}
	var settings []runspec.Setting
	for _, s := range all {
		switch s.Key.Name {
		case "run_id":
			continue
		case "corpus":
			s.Texts = []string{dir.Corpus()}
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// layers returns the settings of file, environment and command line, in this order.
func (f *specFlags) layers(corpus []string) ([][]runspec.Setting, error) {
	var file []runspec.Setting
	if *f.config != "" {
		var err error
		if file, err = runspec.File(*f.config); err != nil {
			return nil, exit.Wrap(exit.Usage, "`gramme config` lists the keys", err)
		}
	}
	var given []runspec.Setting
	for _, k := range runspec.Keys() {
		if k.Name == "corpus" && len(corpus) > 0 {
			s := runspec.Flag(k, corpus...)
			s.Origin = "arguments"
			given = append(given, s)
		} else if k.Name != "corpus" && f.flags.Changed(k.Flag()) {
			given = append(given, runspec.Flag(k, f.values[k.Name].text))
		}
	}
	return [][]runspec.Setting{file, runspec.Environment(os.Environ()), given}, nil
}

// spec returns the spec of a run, or the one with which it would start, and whether the
// run exists.
func (f *specFlags) spec(dir rundir.Dir, corpus []string) (spec runspec.Spec, origins runspec.Origins, exists bool, err error) {
	layers, err := f.layers(corpus)
	if err != nil {
		return spec, nil, false, err
	}
	usage := func(err error) error {
		return exit.Wrap(exit.Usage, "`gramme config` lists the keys and the origin of each value", err)
	}
	if _, err := os.Stat(dir.Spec()); err == nil {
		stored, err := runspec.Read(dir.Spec())
		if err != nil {
			return spec, nil, true, damagedSpec(err)
		}
		spec, origins, err := runspec.Resume(stored, dir.Spec(), withoutFittingVocabulary(dir, layers)...)
		return spec, origins, true, exit.Wrap(exit.Usage, "to start another run, give --run another folder", err)
	}
	like, err := f.likeSettings()
	if err != nil {
		return spec, nil, false, err
	}
	spec, origins, err = runspec.New(slices.Insert(layers, 0, like)...)
	return spec, origins, false, usage(err)
}

func damagedSpec(err error) error {
	return exit.Wrap(exit.Verify, "the run's spec is damaged: restore it from a checkpoint's spec.yaml", err)
}
