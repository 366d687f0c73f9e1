package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/logging"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch"
	"github.com/gramme-project/gramme/launch/preflight/network"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// workerBinary is the only program that is linked with libtorch.
const workerBinary = "gramme-worker"

// ownThreads, together with the other threads of the runtime, are as many as `up` was
// seen to use with embedded etcd and NATS; more would be missing elsewhere.
const ownThreads = 8

// mostMinutes bounds --minutes.
const mostMinutes = 366 * 24 * 60

func upCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "up [flags] [corpus...]",
		Short: "train on this machine, with everything that a run needs, until the steps are done",
		Long: `Prepares the corpus, then starts etcd, NATS, the coordinator, the checkpoint service
and the workers, and trains until the steps are done. Ctrl-C finishes the step,
stores a checkpoint and exits; the same command resumes from there. With --etcd and
--nats it uses existing services, and workers on other machines can join.`,
		Example: "  gramme up --workers 2 --model tiny --steps 2000 --run runs/mine text/\n  gramme up --run runs/mine",
	}
	run := runFlag(c)
	flags := addSpecFlags(c)
	flags.like = c.Flags().String("like", "", "`folder` of a run whose settings and corpus a new run takes, unless others are given")
	cluster := clusterflags.Add(c)
	host := c.Flags().String("host", "", "`address` by which workers on other machines reach those on this one")
	minutes := c.Flags().Float64("minutes", 0, "instead of --steps: as many steps as fit in these minutes, by a short measurement")
	c.RunE = func(c *cobra.Command, args []string) error {
		u := &up{dir: rundir.Dir(*run), out: c.OutOrStdout(), err: c.ErrOrStderr(), minutes: *minutes, cluster: cluster, host: *host}
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
	gramme   *process.Program
	worker   *process.Program
	workers  int // to begin with: as many as the machine has enough for
}

func (u *up) run(ctx context.Context, flags *specFlags, corpus []string) error {
	in := catch(ctx, u.err)
	defer in.end()
	return in.explain(u.prepareAndTrain(ctx, in, flags, corpus))
}

// prepareAndTrain handles signals from its start on: the first one ends the preparation.
func (u *up) prepareAndTrain(ctx context.Context, in *signals, flags *specFlags, corpus []string) error {
	spec, _, exists, err := flags.spec(u.dir, corpus)
	if err != nil {
		return err
	}
	for _, w := range spec.Warnings() {
		fmt.Fprintln(u.err, "warning: "+w)
	}
	if exists && u.minutes > 0 {
		fmt.Fprintf(u.err, "note: --minutes is for a new run; this one started with %s\n", words.Several(spec.Steps, "step"))
	}
	if !exists && len(spec.Corpus) == 0 {
		return exit.Wrap(exit.Usage, "name text files or folders: `gramme up --run DIR text/`", errors.New("a new run needs a corpus"))
	}
	shared, err := u.shared(spec)
	if err != nil {
		return err
	}
	if shared != nil && !exists { // before time is spent on the corpus
		if err := launch.Reachable(in.first, u.tell, *shared); err != nil {
			return err
		}
	}
	if err := network.FromEnviron().Check(in.first); err != nil {
		return err
	}
	if u.host != "" {
		if _, err := network.FromEnviron().Host(in.first, u.host); err != nil {
			return err
		}
	}
	if err := u.findBinaries(in.first, spec.Device); err != nil {
		return err
	}
	_, statErr := os.Stat(string(u.dir))
	if err := u.dir.Make(); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			err = exit.Wrap(exit.Usage, "give --run another folder", err)
		}
		return err
	}
	unlock, err := u.dir.Lock()
	if err != nil {
		return exit.Wrap(exit.Resource, "`"+words.Command("gramme", "status", "--run", string(u.dir))+"` shows it; Ctrl-C there ends it", err)
	}
	defer unlock()
	// Another process may have started the run before this one held the folder.
	spec, origins, exists, err := flags.spec(u.dir, corpus)
	if err != nil {
		return err
	}
	if err := u.checkMachine(spec, exists, shared != nil); err != nil {
		return u.withoutRun(err, statErr == nil)
	}
	if !exists {
		if spec, err = u.begin(in.first, spec, origins); err != nil {
			return u.withoutRun(err, statErr == nil)
		}
	} else if err := spec.Write(u.dir.Spec()); err != nil {
		return err
	}
	if shared != nil {
		shared.Run = spec.Run // a new run has its name by now
	}
	return u.train(ctx, spec, shared, in)
}

// tell prints an event.
func (u *up) tell(text string) { fmt.Fprintln(u.err, program.Spoken(text)) }

// findBinaries finds the programs, and checks that the worker starts and has its device.
func (u *up) findBinaries(ctx context.Context, device string) (err error) {
	if u.gramme, err = hold("gramme"); err != nil {
		return exit.Wrap(exit.Resource, buildHint, err)
	}
	if u.worker, err = hold(workerBinary); err != nil {
		return exit.Wrap(exit.Resource, buildHint, err)
	}
	version, err := workerVersion(ctx, u.worker.Path)
	if err != nil {
		return err
	}
	if err := sameBuild(version); err != nil || device == runspec.DeviceCPU {
		return err
	}
	_, err = u.workerOutput(ctx, nil, "device", device)
	return err
}

// hold finds a program beside this one and keeps its present version: a build during the
// run does not affect it.
func hold(name string) (*process.Program, error) {
	path, err := process.Beside(name)
	if err != nil {
		return nil, err
	}
	return process.Hold(path)
}

// train runs the cluster and shows its progress.
func (u *up) train(ctx context.Context, spec runspec.Spec, shared *endpoint.Endpoint, in *signals) error {
	m, err := shard.OpenManifest(u.dir.Corpus())
	if err != nil {
		return exit.Wrap(exit.Data, corpusHint(u.dir), err)
	}
	taken, err := u.newestCheckpoint(spec)
	if err != nil {
		return err
	}
	newest := taken.Step
	if newest >= spec.Steps {
		n, err := u.ingestPending()
		if err != nil {
			return err
		}
		if n > 0 {
			fmt.Fprintf(u.err, "%s of an earlier start had not reached the ledger and were added\n", words.Several(n, "energy reading"))
		}
		measured, err := readEvaluation(u.dir, newest)
		if err != nil {
			return err
		}
		fmt.Fprintln(u.out, allDone(spec.Steps))
		return errors.Join(u.summarize(spec, m, taken, measured), u.diverged(spec, taken))
	}
	if err := u.diverged(spec, taken); err != nil {
		return err
	}
	if shared != nil { // they may have gone while the corpus was prepared
		if err := launch.Reachable(in.first, u.tell, *shared); err != nil {
			return err
		}
	}
	u.announce(spec, m, taken)
	log, err := logging.To(u.dir.Log("up"), logging.Config(spec.Log), "up", "up")
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // nothing can be done about it
	show := newProgress(u.err, spec)
	process.ReserveThreads(ownThreads)
	in.trains.Store(true)
	var measured evaluation.Result
	err = launch.Run(ctx, launch.Options{
		Dir: u.dir, Spec: spec, Gramme: u.gramme, Worker: u.worker, Log: log, Shared: shared, Host: u.host, Workers: u.workers, Joined: func(e endpoint.Endpoint) { invite(u.err, e) },
		Stop: in.first.Done(), Kill: in.second, Watch: show.set,
		Tell: func(text string) { show.end(); u.tell(text) },
		Last: func(ctx context.Context, env []string) error {
			show.end()
			fmt.Fprintln(u.err, "measuring the validation split")
			var err error
			if measured, err = u.evaluate(ctx, env, show.rate()); ctx.Err() != nil {
				fmt.Fprintln(u.err, "the measurement is skipped")
			}
			return err
		},
	})
	show.end()
	if errors.Is(err, launch.ErrKilled) {
		return exit.Wrap(exit.Interrupted, "the same command resumes from the newest checkpoint", err)
	}
	if errors.Is(err, launch.ErrStopped) { // nothing changed
		fmt.Fprintf(u.out, "stopped before training resumed, at step %d of %d\nresume with: %s\n", newest, spec.Steps, u.resumeCommand())
		return nil
	}
	if err != nil {
		return u.failed(spec, err)
	}
	if _, err := u.ingestPending(); err != nil {
		return err
	}
	if taken, err = checkpoint.Choose(string(u.dir), checkpoint.Sizes, nil); err != nil { // the summary verifies it
		return err
	}
	if newest = taken.Step; newest < spec.Steps {
		fmt.Fprintf(u.out, "stopped at step %d of %d\n", newest, spec.Steps)
	} else {
		fmt.Fprintf(u.out, "done: %s\n", words.Several(spec.Steps, "step"))
	}
	return errors.Join(u.summarize(spec, m, taken, measured), u.diverged(spec, taken))
}

// failed reports the stored state of a run that could not continue.
func (u *up) failed(spec runspec.Spec, err error) error {
	if _, pending := u.ingestPending(); pending != nil {
		fmt.Fprintln(u.err, "warning: "+pending.Error())
	}
	if taken, unread := checkpoint.Choose(string(u.dir), checkpoint.Sizes, nil); unread == nil && taken.Step > 0 {
		fmt.Fprintf(u.err, "step %d of %d is stored; resume with: %s\n", taken.Step, spec.Steps, u.resumeCommand())
	}
	return err
}

func allDone(steps uint64) string {
	if steps == 1 {
		return "the only step is done"
	}
	return fmt.Sprintf("all %d steps are done", steps)
}

// ingestPending writes the pending readings of processes that have ended into the ledger.
func (u *up) ingestPending() (readings int, err error) {
	readings, err = checkpoint.IngestPending(string(u.dir), buildinfo.Software(), zap.NewNop())
	if err != nil {
		err = storeError(fmt.Errorf("energy readings that are not in the ledger yet: %w", err))
	}
	return readings, err
}

// shared returns the services that the flags name, or nil.
func (u *up) shared(spec runspec.Spec) (*endpoint.Endpoint, error) {
	if !u.cluster.Given() {
		return nil, nil
	}
	e, err := u.cluster.Endpoint(cmp.Or(spec.Run, "new")) // a new run gets its name later
	return &e, err
}

// invite prints the command with which more workers join.
func invite(out io.Writer, e endpoint.Endpoint) {
	if !e.Shared {
		fmt.Fprintf(out, "etcd and NATS listen on this machine only: workers on other machines need --etcd and --nats (docs/cluster.md)\n")
		return
	}
	fmt.Fprintf(out, "workers on other machines join with:\n  %s\n", clusterflags.Command(program.Name(), e))
}

// announce prints model, workers and steps before the training.
func (u *up) announce(spec runspec.Spec, m shard.Manifest, taken checkpoint.Choice) {
	l := newLayout(spec, m.VocabSize)
	per := spec.Batch.Rows * spec.Batch.MicroBatches
	fmt.Fprintf(u.err, "model %s: %s parameters; %s × %s, %s; %s of %d sequences × %d tokens\n",
		spec.Model.Name, count(int64(l.Parameters())), words.Several(u.workers, "worker"), words.Several(spec.Threads, "thread"),
		spec.Precision, words.Several(spec.Steps, "step"), per, spec.MaxSeq)
	if choice, err := runspec.ReadPrecisionChoice(u.dir.Precision()); err == nil && choice != nil && taken.Step > 0 {
		fmt.Fprintln(u.err, choice)
	}
	showResume(u.err, taken)
	showSigning(u.err, u.dir)
}

// ago rounds a duration for people.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
