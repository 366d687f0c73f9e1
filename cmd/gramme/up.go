package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/launch/preflight/network"
	"github.com/gramme-project/gramme/runspec"
)

// mostMinutes bounds --minutes.
const mostMinutes = 366 * 24 * 60

func upCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "up [flags] [corpus...]",
		Short: "train on this machine, with everything that a run needs, until the steps are done",
		Long: `Prepares the corpus, then starts etcd, NATS, the coordinator, the checkpoint service
and the workers, and trains until the steps are done. A new run measures which
precision and which number of workers and threads are fastest, unless they are given.
Ctrl-C finishes the step, stores a checkpoint and exits; the same command resumes from
there. With --etcd and --nats it uses existing services, and workers on other machines
can join.`,
		Example: "  gramme up --model tiny --steps 2000 --run runs/mine text/\n  gramme up --run runs/mine",
	}
	run := runFlag(c)
	flags := addSpecFlags(c)
	flags.like = c.Flags().String("like", "", "`folder` of a run whose settings and corpus a new run takes, unless others are given")
	cluster := clusterflags.Add(c)
	host := c.Flags().String("host", "", "`address` by which workers on other machines reach those on this one")
	minutes := c.Flags().Float64("minutes", 0, "instead of --steps: as many steps as fit in these minutes, by a short measurement")
	c.RunE = func(c *cobra.Command, args []string) error {
		u := &up{dir: rundir.Dir(*run), out: c.OutOrStdout(), err: c.ErrOrStderr(), minutes: *minutes, cluster: cluster, host: *host, busy: machine.Busy}
		if c.Flags().Changed("minutes") {
			if !(*minutes > 0 && *minutes <= mostMinutes) { // NaN is refused, too
				return exit.Wrap(exit.Usage, "for example --minutes 10", fmt.Errorf("--minutes %g: must be more than 0 and at most %d, a year", *minutes, mostMinutes))
			}
			if c.Flags().Changed("steps") {
				return exit.Wrap(exit.Usage, "give one of them", errors.New("--minutes and --steps both set the length of the run"))
			}
		}
		return u.run(c.Context(), flags, args)
	}
	return c
}

// up is one call of `gramme up`.
type up struct {
	dir      rundir.Dir
	out, err io.Writer
	minutes  float64
	cluster  *clusterflags.Flags
	host     string
	busy     func() bool // of the machine: others want its processors

	gramme, worker *process.Program
	shared         *endpoint.Endpoint // services that the flags name; nil: none
	spec           runspec.Spec
	taken          checkpoint.Choice // the newest checkpoint, after the training that of its end
	workers        int               // to begin with: as many as the machine has enough for
}

func (u *up) run(ctx context.Context, flags *specFlags, corpus []string) error {
	in := catch(ctx, u.err)
	defer in.end()
	return in.explain(u.prepareAndTrain(ctx, in, flags, corpus))
}

// prepareAndTrain handles signals from its start on: the first one ends the preparation.
func (u *up) prepareAndTrain(ctx context.Context, in *signals, flags *specFlags, corpus []string) error {
	_, absent := os.Stat(string(u.dir))
	if absent == nil { // nobody else changes the run from here on
		unlock, err := u.lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	spec, origins, exists, err := flags.spec(u.dir, corpus)
	if err != nil {
		return err
	}
	u.spec = spec
	for _, w := range spec.Warnings() {
		fmt.Fprintln(u.err, "warning: "+w)
	}
	if exists && u.minutes > 0 {
		fmt.Fprintf(u.err, "note: --minutes is for a new run; this one started with %s\n", words.Several(spec.Steps, "step"))
	}
	if !exists && len(spec.Corpus) == 0 {
		return exit.Wrap(exit.Usage, "name text files or folders: `gramme up --run DIR text/`", errors.New("a new run needs a corpus"))
	}
	if err := u.checkSurroundings(in.first, exists); err != nil {
		return err
	}
	if err := u.dir.Make(); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			err = exit.Wrap(exit.Usage, "give --run another folder", err)
		}
		return err
	}
	if absent != nil {
		unlock, err := u.lock()
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := os.Stat(u.dir.Spec()); err == nil {
			return exit.Wrap(exit.Resource, "the same command goes on with it", fmt.Errorf("another `gramme up` has just begun a run at %s", u.dir))
		}
	}
	if exists {
		u.refit(origins)
		err = u.resume()
	} else if err = u.begin(in.first, origins); err != nil {
		err = u.withoutRun(err, absent == nil)
	}
	if err != nil {
		return err
	}
	return u.train(ctx, in)
}

// lock holds the run's folder.
func (u *up) lock() (unlock func(), err error) {
	if unlock, err = u.dir.Lock(); err != nil {
		err = exit.Wrap(exit.Resource, "`"+words.Command("gramme", "status", "--run", string(u.dir))+"` shows it; Ctrl-C there ends it", err)
	}
	return unlock, err
}

// checkSurroundings checks, before time is spent on the corpus, what the run needs besides
// this machine's resources: services, network, programs.
func (u *up) checkSurroundings(ctx context.Context, exists bool) error {
	if u.cluster.Given() {
		e, err := u.cluster.Endpoint(cmp.Or(u.spec.Run, "new")) // a new run gets its name later
		if err != nil {
			return err
		}
		u.shared = &e
	}
	if u.shared != nil && !exists {
		if err := launch.Reachable(ctx, u.tell, *u.shared); err != nil {
			return err
		}
	}
	if err := network.FromEnviron().Check(ctx); err != nil {
		return err
	}
	if u.host != "" {
		if _, err := network.FromEnviron().Host(ctx, u.host); err != nil {
			return err
		}
	}
	return u.findBinaries(ctx, u.spec.Device)
}

// tell prints an event.
func (u *up) tell(text string) { fmt.Fprintln(u.err, program.Spoken(text)) }
