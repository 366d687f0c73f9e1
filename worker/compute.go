package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/worker/step"
)

// compute answers jobs with gradients. Meanwhile it draws the batch after each: the
// micro-batches of a member are mostly consecutive.
func (w *worker) compute(ctx context.Context) error {
	var prefetched struct {
		job   step.Compute
		batch sampler.Batch
		ok    bool
	}
	for {
		var job step.Compute
		select {
		case job = <-w.jobs:
		case <-ctx.Done():
			return nil
		}
		batch := prefetched.batch
		if !prefetched.ok || prefetched.job.Step != job.Step || prefetched.job.Index != job.Index {
			var err error
			if batch, err = w.drawBatch(ctx, job.Step-1, job.Index); err != nil {
				return err
			}
		}
		seed := rng.Mix(rng.DomainDropout, w.cfg.Spec.Seed, job.Step, uint64(job.Index))
		started := time.Now() // waiting for a shard above is not this worker's speed
		var measured replica.Measured
		err := w.dog.Guard(microBatches, func() (err error) {
			measured, err = w.cfg.Trainer.Compute(batch, seed)
			return err
		})
		if err != nil {
			return fmt.Errorf("gradient of micro-batch %d of step %d: %w", job.Index, job.Step, err)
		}
		select {
		case w.results <- computed{job, measured, time.Since(started)}:
		case <-ctx.Done():
			return nil
		}
		prefetched.ok = false
		if job.Index+1 < w.cfg.Spec.Batch.MicroBatches {
			prefetched.job = step.Compute{Step: job.Step, Index: job.Index + 1}
			if b, err := w.cfg.Batch(job.Step-1, job.Index+1); err == nil { // the job for that batch reports an error
				prefetched.batch, prefetched.ok = b, true
			}
		}
	}
}

// drawBatch draws a micro-batch. If it needs a shard that is unavailable now, it waits for
// it: training may go on without a coordinator.
func (w *worker) drawBatch(ctx context.Context, step uint64, index int) (sampler.Batch, error) {
	for {
		b, err := w.cfg.Batch(step, index)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, shard.ErrUnavailable) || ctx.Err() != nil {
			return b, fmt.Errorf("micro-batch %d of step %d: %w", index, step+1, err)
		}
		w.log.Warn("waiting for a shard", zap.Error(err))
		waiting.Pause(ctx, w.cfg.Spec.FailureTimeout)
	}
}
