package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/evaluation"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/logging"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch"
	"github.com/gramme-project/gramme/shard"
)

// ownThreads, together with the other threads of the runtime, are as many as `up` was
// seen to use with embedded etcd and NATS; more would be missing elsewhere.
const ownThreads = 8

// train trains what is left to train, and reports the result.
func (u *up) train(ctx context.Context, in *signals) error {
	m, err := shard.OpenManifest(u.dir.Corpus())
	if err != nil {
		return exit.Wrap(exit.Data, corpusHint(u.dir), err)
	}
	if u.taken.Step >= u.spec.Steps {
		return u.reportDone(m)
	}
	if err := u.diverged(); err != nil {
		return err
	}
	if u.shared != nil {
		u.shared.Run = u.spec.Run // a new run has its name by now
		// They may have gone while the corpus was prepared.
		if err := launch.Reachable(in.first, u.tell, *u.shared); err != nil {
			return err
		}
	}
	u.announce(m)
	measured, err := u.runCluster(ctx, in)
	switch {
	case errors.Is(err, launch.ErrKilled):
		return exit.Wrap(exit.Interrupted, "the same command resumes from the newest checkpoint", err)
	case errors.Is(err, launch.ErrStopped): // nothing changed
		fmt.Fprintf(u.out, "stopped before training resumed, at step %d of %d\nresume with: %s\n", u.taken.Step, u.spec.Steps, u.resumeCommand())
		return nil
	case err != nil:
		u.showStored()
		return err
	}
	if _, err := u.ingestPending(); err != nil {
		return err
	}
	if u.taken, err = checkpoint.Choose(string(u.dir), checkpoint.Sizes, nil); err != nil { // the summary verifies it
		return err
	}
	if u.taken.Step < u.spec.Steps {
		fmt.Fprintf(u.out, "stopped at step %d of %d\n", u.taken.Step, u.spec.Steps)
	} else {
		fmt.Fprintf(u.out, "done: %s\n", words.Several(u.spec.Steps, "step"))
	}
	return errors.Join(u.summarize(m, measured), u.diverged())
}

// runCluster runs the cluster and shows its progress. What it measures in the end is zero
// for a run that was stopped.
func (u *up) runCluster(ctx context.Context, in *signals) (measured evaluation.Result, err error) {
	log, err := logging.To(u.dir.Log("up"), logging.Config(u.spec.Log), "up", "up")
	if err != nil {
		return measured, err
	}
	defer log.Sync() //nolint:errcheck // nothing can be done about it
	show := newProgress(u.err, u.spec)
	defer show.end()
	process.ReserveThreads(ownThreads)
	in.trains.Store(true)
	err = launch.Run(ctx, launch.Options{
		Dir: u.dir, Spec: u.spec, Gramme: u.gramme, Worker: u.worker, Log: log, Shared: u.shared, Host: u.host, Workers: u.workers,
		Joined: func(e endpoint.Endpoint) { invite(u.err, e) },
		Stop:   in.first.Done(), Kill: in.second, Watch: show.set,
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
	return measured, err
}

// reportDone reports a run of which nothing is left to train.
func (u *up) reportDone(m shard.Manifest) error {
	n, err := u.ingestPending()
	if err != nil {
		return err
	}
	if n > 0 {
		fmt.Fprintf(u.err, "%s of an earlier start had not reached the ledger and were added\n", words.Several(n, "energy reading"))
	}
	measured, err := readEvaluation(u.dir, u.taken.Step)
	if err != nil {
		return err
	}
	text := "the only step is done"
	if u.spec.Steps != 1 {
		text = fmt.Sprintf("all %d steps are done", u.spec.Steps)
	}
	fmt.Fprintln(u.out, text)
	return errors.Join(u.summarize(m, measured), u.diverged())
}

// showStored prints which state of a run that could not continue is stored.
func (u *up) showStored() {
	if _, err := u.ingestPending(); err != nil {
		fmt.Fprintln(u.err, "warning: "+err.Error())
	}
	if taken, err := checkpoint.Choose(string(u.dir), checkpoint.Sizes, nil); err == nil && taken.Step > 0 {
		fmt.Fprintf(u.err, "step %d of %d is stored; resume with: %s\n", taken.Step, u.spec.Steps, u.resumeCommand())
	}
}

// ingestPending writes the pending readings of processes that have ended into the ledger.
func (u *up) ingestPending() (readings int, err error) {
	readings, err = checkpoint.RecoverPending(string(u.dir), buildinfo.Software(), zap.NewNop())
	if err != nil {
		err = storeError(fmt.Errorf("energy readings that are not in the ledger yet: %w", err))
	}
	return readings, err
}
