package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/model"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/shard"
)

// begin makes a new run: the corpus, then what is settled once and for all, then
// the spec, whose file makes the folder a run.
func (u *up) begin(ctx context.Context, spec runspec.Spec, origins runspec.Origins) (runspec.Spec, error) {
	m, err := u.corpus(ctx, spec)
	if err != nil {
		return spec, err
	}
	if err := agrees(m, spec, origins); err != nil {
		return spec, exit.Wrap(exit.Usage, "leave it out, or prepare the corpus anew", err)
	}
	spec.Run = cmp(spec.Run, runspec.NewRunID())
	if spec.Threads == 0 {
		spec.Threads = max(1, runtime.NumCPU()/spec.Workers.Max)
	}
	// The vocabulary that the corpus gave; a prepared corpus may differ from
	// what was asked for.
	spec.VocabSize, spec.Lowercase, spec.MaxSeq = m.VocabSize, m.Lowercase, m.MaxSeq
	if spec.Precision == runspec.PrecisionAuto || u.minutes > 0 {
		if err := u.calibrate(ctx, &spec); err != nil {
			return spec, err
		}
	}
	if spec.Steps == 0 {
		batch := int64(spec.Batch.Rows * spec.Batch.MicroBatches)
		spec.Steps = uint64(max(1, (m.Splits.Train.Chunks+batch-1)/batch))
		fmt.Fprintf(u.err, "no --steps given: one pass over the corpus, %s\n", words.Several(spec.Steps, "step"))
	}
	if err := spec.Complete(); err != nil {
		return spec, exit.Wrap(exit.Usage, "`gramme config` lists the keys", err)
	}
	return spec, spec.Write(u.dir.Spec())
}

func cmp(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}

// corpus prepares what was named, or takes the shards of a folder that is prepared:
// the run's folder stands alone.
func (u *up) corpus(ctx context.Context, spec runspec.Spec) (shard.Manifest, error) {
	if len(spec.Corpus) == 1 {
		if _, err := shard.OpenManifest(spec.Corpus[0]); err == nil {
			return shard.Share(spec.Corpus[0], u.dir.Corpus(), u.tell)
		}
	}
	m, err := prepare(ctx, u.err, shard.PrepareOptions{
		Inputs: spec.Corpus, OutDir: u.dir.Corpus(), VocabSize: spec.VocabSize, Lowercase: spec.Lowercase,
		MaxSeq: spec.MaxSeq, ShardTokens: spec.Data.ShardTokens, Seed: spec.Seed,
	})
	if err == nil {
		describe(u.err, m)
	}
	return m, err
}

func newLayout(spec runspec.Spec, vocab int) model.Layout {
	return model.NewLayout(spec.ModelConfig(vocab))
}
