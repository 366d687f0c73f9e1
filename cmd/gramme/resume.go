package main

import (
	"fmt"
	"io"
	"os"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/cmd/internal/program"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard"
)

// resume chooses the checkpoint from which the run resumes, and checks whether this machine
// can go on.
func (u *up) resume() error {
	c, err := checkpoint.Choose(string(u.dir), checkpoint.Complete, u.tell)
	if err != nil {
		return err
	}
	u.taken = c
	// A run that is done is not trained again from its first step unless a user asks.
	if d := c.Damaged(); d != nil && d.Step >= u.spec.Steps && c.Step == 0 {
		return exit.Wrap(exit.Verify,
			fmt.Sprintf("restore %s from a copy; to train all %s again, move %s away and repeat the command", d.Folder, words.Several(u.spec.Steps, "step"), u.dir.Checkpoints()),
			fmt.Errorf("the run is done, but none of its checkpoints verifies: %w", d.Reason))
	}
	if c.Step < u.spec.Steps {
		if err := u.checkMachine(); err != nil {
			return err
		}
	}
	return u.spec.Write(u.dir.Spec())
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
func (u *up) announce(m shard.Manifest) {
	spec := u.spec
	fmt.Fprintf(u.err, "model %s: %s parameters; %s × %s, %s; %s of %d sequences × %d tokens\n",
		spec.Model.Name, count(int64(newLayout(spec, m.VocabSize).Parameters())), words.Several(u.workers, "worker"), words.Several(spec.Threads, "thread"),
		spec.Precision, words.Several(spec.Steps, "step"), spec.Batch.Rows*spec.Batch.MicroBatches, spec.MaxSeq)
	if u.taken.Step > 0 { // a new run has just said so
		for _, c := range choices(u.dir, spec) {
			fmt.Fprintln(u.err, c.text)
		}
	}
	showResume(u.err, u.taken)
	showSigning(u.err, u.dir)
}

// showResume prints the step from which a run resumes, and why not from a newer one.
func showResume(out io.Writer, c checkpoint.Choice) {
	for _, p := range c.PassedOver {
		fmt.Fprintln(out, p)
		if p.Present {
			fmt.Fprintf(out, "  it is set aside as %s\n", p.Aside)
		}
	}
	switch {
	case c.Step > 0:
		fmt.Fprintf(out, "resuming from step %d\n", c.Step)
	case len(c.PassedOver) > 0:
		fmt.Fprintln(out, "no checkpoint is left: starting again with the first step")
	}
}

// showSigning prints notes about the key that signs the ledger from here on.
func showSigning(out io.Writer, dir rundir.Dir) {
	s, err := checkpoint.FindSigningKey(string(dir))
	if err != nil {
		return // the checkpoint service reports it when it opens the ledger
	}
	if s.Handover != "" {
		fmt.Fprintf(out, "note: the ledger continues with a new key, as the audit will show: %s\n", s.Handover)
	}
	if s.InFolder != "" {
		fmt.Fprintf(out, "note: the key that signs the ledger is in %s, and copies of the folder include it: %s\n", dir.Keys(), s.InFolder)
	}
}

// corpusHint returns a hint for a run's corpus that cannot be read. Runs of
// earlier versions have a link to a folder elsewhere.
func corpusHint(dir rundir.Dir) string {
	if to, err := os.Readlink(dir.Corpus()); err == nil {
		return fmt.Sprintf("%s is a link to %s, which is missing or damaged: restore it there, or replace the link by a copy", dir.Corpus(), to)
	}
	return "the corpus of this run is missing or damaged: restore it, or start another run"
}
