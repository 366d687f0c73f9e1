package worker

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// saveJob is a copy of this rank's slice of the state, to be sent to the checkpoint
// service.
type saveJob struct {
	header wire.SliceHeader // without Part, Offset and Count
	parts  map[string][]float32
}

// queueSave copies the slice [First, End) of the state for save. A checkpoint is skipped
// if save is still busy, unless it is the last.
func (w *worker) queueSave(ctx context.Context, f step.Save) error {
	if !f.Final && len(w.saves) == cap(w.saves) { // only the loop sends there
		w.log.Warn("checkpoint skipped: the previous one is still being sent", zap.Uint64("step", f.Step))
		return nil
	}
	h, parts, err := pin.Slice(w.replica.State, f.Header(w.reg.ID), w.cfg.Cores)
	if err != nil {
		return err
	}
	if f.Rank == 0 {
		h.Loss, h.Numerics, h.Lineage = w.beat.Loss, w.stateNumerics, w.machine.Lineage()
	}
	select {
	case w.saves <- saveJob{h, parts}:
	case <-ctx.Done():
	}
	return nil
}

// save sends slices, and after the last one waits until the checkpoint is stored.
func (w *worker) save(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-w.saves:
			for ctx.Err() == nil {
				err := w.sendSlice(ctx, job)
				if err == nil && job.header.Final {
					err = w.awaitStored(ctx, job.header.Step)
				}
				if err == nil || ctx.Err() != nil {
					break
				}
				if len(w.saves) > 0 {
					break // the waiting checkpoint replaces it
				}
				w.log.Warn("save", zap.Uint64("step", job.header.Step), zap.Error(err))
				if refused := (*bus.RefusedError)(nil); errors.As(err, &refused) && !job.header.Final {
					break // the next checkpoint comes
				}
				waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/5)
			}
		}
	}
}

func (w *worker) sendSlice(ctx context.Context, job saveJob) error {
	for _, part := range []string{wire.PartWeights, wire.PartMoment1, wire.PartMoment2} {
		all := job.parts[part]
		for at := 0; at < len(all) || at == 0; at += wire.MaxChunk / 4 {
			chunk := all[at:min(at+wire.MaxChunk/4, len(all))]
			h := job.header
			h.Part, h.Offset, h.Count = part, h.First+at, len(chunk)
			if part != wire.PartWeights || at > 0 {
				h.Meta, h.Digest, h.Loss, h.Numerics, h.Lineage = nil, "", 0, wire.Numerics{}, wire.Lineage{}
			}
			if err := w.sendChunk(ctx, h, replica.Bytes(chunk)); err != nil {
				return fmt.Errorf("send %s at %d: %w", part, h.Offset, err)
			}
		}
	}
	return nil
}

func (w *worker) sendChunk(ctx context.Context, h wire.SliceHeader, data []byte) error {
	header, err := wire.Encode(h)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 2*w.cfg.answerTimeout())
	defer cancel()
	answer, err := w.cfg.bulk().Request(within, bus.Message{
		Subject: w.subjects.Slice(), Data: data,
		Header: map[string]string{wire.HeaderSlice: string(header), wire.HeaderCRC: transfer.Checksum(data)},
	})
	if err != nil {
		return err
	}
	return bus.ReadReply(answer, nil)
}

// awaitStored waits for the checkpoint of a step. It gives up after a while, so that a
// restarted service gets the slices again. It also gives up when another slice waits: a
// member was lost, its slice will not come, and the state is divided again.
func (w *worker) awaitStored(ctx context.Context, number uint64) error {
	const often = 20
	for range often {
		waiting.Pause(ctx, w.cfg.answerTimeout()/often)
		if len(w.saves) > 0 {
			break
		}
		within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
		info, err := bus.Request[wire.SnapshotInfo](within, w.cfg.Bus, w.subjects.SnapshotInfo(wire.IDCheckpoint), nil)
		cancel()
		if err != nil {
			return err
		}
		if info.Found && info.Step >= number {
			w.post(ctx, step.Stored{Step: info.Step})
			return nil
		}
	}
	return fmt.Errorf("the checkpoint of step %d is not stored yet", number)
}
