//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/cachedir"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/shard/shardcache"
	"github.com/gramme-project/gramme/shard/wordpiece"
)

// corpus is a prepared corpus, here or fetched from the coordinator as needed.
type corpus struct {
	manifest   shard.Manifest
	tokenizer  *wordpiece.Tokenizer
	vocabulary *sampler.Vocabulary
	fetcher    shard.Fetcher
}

func openCorpus(dir string, fetcher shard.Fetcher) (*corpus, error) {
	m, err := shard.OpenManifest(dir)
	if err != nil {
		return nil, err
	}
	t, err := wordpiece.Load(dir)
	if err != nil {
		return nil, err
	}
	v, err := sampler.NewVocabulary(t.Vocab())
	if err != nil {
		return nil, err
	}
	return &corpus{m, t, v, fetcher}, nil
}

// localCorpus opens that of a run's folder.
func localCorpus(dir rundir.Dir) (*corpus, error) {
	return openCorpus(dir.Corpus(), shard.Dir(dir.Corpus()))
}

// cacheBytes bounds the shards that a remote worker keeps.
const cacheBytes = 4 << 30

// pieceWithin bounds the wait for one piece: a coordinator may end before it answers a
// request, and then another is asked.
const pieceWithin = 5 * time.Second

// manifestWithin bounds the wait for a coordinator that has the corpus: the first may
// still be starting, and another replaces one that died.
const manifestWithin = 10 * time.Minute

// remoteCorpus fetches manifest and tokenizer now and shards as they are needed,
// from the coordinator, into a folder of the user's cache.
func remoteCorpus(ctx context.Context, conn bus.Conn, run string, log *zap.Logger) (*corpus, error) {
	dir, err := cachedir.MakeOrTemporary("runs", run)
	if err != nil {
		return nil, exit.Wrap(exit.Resource, cachedir.Hint, fmt.Errorf("cache of the corpus: %w", err))
	}
	source := func(ctx context.Context, name, sha256 string, offset int64, length int) ([]byte, int64, error) {
		r := wire.Range{Name: sha256, Offset: offset, Length: length}
		if sha256 == "" {
			r.Name = name
		}
		within, cancel := context.WithTimeout(ctx, pieceWithin)
		defer cancel()
		data, total, err := transfer.Fetch(within, conn, wire.SubjectsOf(run).Shard(), r)
		if errors.Is(err, bus.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", shard.ErrUnavailable, err) // there is no coordinator just now
		}
		return data, total, err
	}
	var packed []byte
	warn := func(text string) { log.Warn(text) }
	err = waiting.For(ctx, warn, "a coordinator to send the corpus's manifest", manifestWithin, func(ctx context.Context) error {
		return waiting.Retry(ctx, waiting.Every(time.Second), func(ctx context.Context) (bool, error) {
			packed, err = shardcache.Bytes(ctx, source, shard.BundleName, "", 64<<20)
			if errors.Is(err, shard.ErrUnavailable) {
				log.Debug("no coordinator", zap.Error(err))
				return false, err
			}
			return true, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the corpus's manifest: %w", err)
	}
	b, err := shard.DecodeBundle(packed)
	if err != nil {
		return nil, fmt.Errorf("fetch the corpus's manifest: %w", err)
	}
	if err := b.Write(filepath.Join(dir, "corpus")); err != nil {
		return nil, err
	}
	shards, err := shardcache.New(shardcache.Config{Dir: filepath.Join(dir, "shards"), Source: source, MaxBytes: cacheBytes})
	if err != nil {
		return nil, err
	}
	return openCorpus(filepath.Join(dir, "corpus"), shards)
}

// sampling is how a spec draws its batches.
func sampling(spec runspec.Spec) sampler.Config {
	return sampler.Config{
		Seed: spec.Seed, Rows: spec.Batch.Rows, Seq: spec.MaxSeq, MicroBatches: spec.Batch.MicroBatches,
		MaskProb: spec.Masking.Probability, FinalMaskProb: spec.Masking.FinalProbability, Steps: spec.Steps, MaxPredictions: spec.Masking.MaxPredictions,
		WholeWord: spec.Masking.WholeWord, Window: spec.Data.Window,
	}
}

// train draws the run's own batches.
func (c *corpus) train(ctx context.Context, spec runspec.Spec) (*sampler.Sampler, error) {
	cfg := sampling(spec)
	return sampler.New(cfg, c.manifest, c.vocabulary, shard.Loader(ctx, c.fetcher, c.manifest.Splits.Train))
}
