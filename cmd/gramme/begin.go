package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// begin makes a new run: the corpus, then the settings that never change, then the
// spec, whose file makes the folder a run.
func (u *up) begin(ctx context.Context, origins runspec.Origins) error {
	if err := u.checkMachine(); err != nil {
		return err
	}
	spec := &u.spec
	m, err := u.corpus(ctx)
	if err != nil {
		return err
	}
	if err := checkCorpus(m, *spec, origins); err != nil {
		return exit.Wrap(exit.Usage, "leave it out, or prepare the corpus again with that value", err)
	}
	spec.Run = cmp.Or(spec.Run, runspec.NewRunID())
	// The actual values of the corpus: a prepared one may differ from the request.
	spec.VocabSize, spec.Lowercase, spec.MaxSeq = m.VocabSize, m.Lowercase, m.MaxSeq
	spec.ChooseRecipe(origins)
	if err := u.calibrate(ctx, spec); err != nil {
		return err
	}
	if spec.Steps == 0 {
		batch := int64(spec.Batch.Rows * spec.Batch.MicroBatches)
		spec.Steps = uint64(max(1, (m.Splits.Train.Chunks+batch-1)/batch))
		fmt.Fprintf(u.err, "no --steps given: one pass over the corpus, %s\n", words.Several(spec.Steps, "step"))
	}
	if err := spec.Complete(); err != nil {
		return exit.Wrap(exit.Usage, "`gramme config` lists the keys", err)
	}
	if err := spec.Write(u.dir.Spec()); err != nil {
		return err
	}
	_ = os.Remove(u.dir.Inputs()) // from now on the spec describes the corpus
	return nil
}

// corpus prepares the given text, or takes the shards of a prepared folder; either way
// the run's folder is self-contained. A corpus that an earlier call prepared from the
// same text with the same settings is used again: that call may have failed later.
func (u *up) corpus(ctx context.Context) (shard.Manifest, error) {
	spec := u.spec
	if len(spec.Corpus) == 1 {
		if _, err := shard.OpenManifest(spec.Corpus[0]); err == nil {
			return shard.Share(spec.Corpus[0], u.dir.Corpus(), u.tell)
		}
	}
	o := shard.PrepareOptions{
		Inputs: spec.Corpus, OutDir: u.dir.Corpus(), VocabSize: spec.VocabSize, Lowercase: spec.Lowercase,
		MaxSeq: spec.MaxSeq, ShardTokens: spec.Data.ShardTokens, Seed: spec.Seed,
	}
	inputs := inputsOf(o, u.dir)
	if m, err := shard.OpenManifest(u.dir.Corpus()); err == nil && inputs != "" && inputs == u.preparedFrom() {
		u.tell("using the corpus that was prepared earlier")
		return m, nil
	}
	m, err := prepare(ctx, u.err, o)
	if err == nil {
		describe(u.err, m)
		_ = vfs.WriteFile(vfs.OS{}, u.dir.Inputs(), []byte(inputs), 0o644) // without it, the corpus is prepared again if need be
	}
	return m, err
}

// preparedFrom returns the hash of the inputs of the folder's corpus.
func (u *up) preparedFrom() string {
	b, err := os.ReadFile(u.dir.Inputs())
	if err != nil {
		return ""
	}
	return string(b)
}

// inputsOf tells a corpus and its settings from others; "" if it cannot, as of standard
// input.
func inputsOf(o shard.PrepareOptions, dir rundir.Dir) string {
	files, err := shard.InputsDigest(o.Inputs, string(dir))
	if err != nil {
		return ""
	}
	return fmt.Sprintln(buildinfo.Version, o.VocabSize, o.Lowercase, o.MaxSeq, o.ShardTokens, o.Seed, files)
}

// withoutRun cleans up after a run that did not start. A prepared corpus stays.
func (u *up) withoutRun(err error, before bool) error {
	if _, none := shard.OpenManifest(u.dir.Corpus()); none == nil && u.preparedFrom() != "" {
		fmt.Fprintf(u.err, "the prepared corpus stays in %s: the same command uses it\n", u.dir.Corpus())
		return err
	}
	if before {
		return err
	}
	if left := os.RemoveAll(string(u.dir)); left != nil {
		return exit.Wrap(exit.Code(err), exit.Hint(err), errors.Join(err, left))
	}
	return err
}

func newLayout(spec runspec.Spec, vocab int) model.Layout {
	return model.NewLayout(spec.ModelConfig(vocab))
}
