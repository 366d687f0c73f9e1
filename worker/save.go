package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/step"
	"github.com/gramme-project/gramme/worker/upload"
)

// saves are the slices of the state that the loop adds and save sends.
type saves struct {
	mu    sync.Mutex
	queue *upload.Queue
	added chan struct{} // holds one token where there may be something to do
}

func newSaves(cfg Config) saves {
	return saves{queue: upload.NewQueue(cfg.Spec.FailureTimeout, cfg.answerTimeout()), added: make(chan struct{}, 1)}
}

func (s *saves) accepts(final bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Accepts(final)
}

func (s *saves) add(slice upload.Slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.Add(slice)
	select {
	case s.added <- struct{}{}:
	default:
	}
}

func (s *saves) next(a upload.Answer) upload.Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Next(a)
}

// queueSave copies this rank's slice of the state for save.
func (w *worker) queueSave(f step.Save) error {
	if !w.saves.accepts(f.Final) {
		w.log.Warn("checkpoint skipped: the previous one is still being sent", zap.Uint64("step", f.Step))
		return nil
	}
	h := f.Header(w.reg.ID)
	if f.Rank == 0 {
		h.Loss, h.Numerics, h.Lineage = w.beat.Loss, w.stateNumerics, w.machine.Lineage()
	}
	slice, err := upload.NewSlice(w.replica.State, h, w.cfg.Cores)
	if err == nil {
		w.saves.add(slice)
	}
	return err
}

// save sends slices, and after the last one waits until the checkpoint is stored.
func (w *worker) save(ctx context.Context) error {
	var a upload.Answer
	for ctx.Err() == nil {
		next := w.saves.next(a)
		a = upload.Answer{}
		switch do := next.(type) {
		case upload.Send:
			a.Err = w.sendSlice(ctx, do.Slice)
			refused := (*bus.RefusedError)(nil)
			a.Refused = errors.As(a.Err, &refused)
		case upload.AskStored:
			stored := w.askState(ctx, w.subjects.SnapshotInfo(wire.IDCheckpoint), nil)
			a = upload.Answer{Info: stored.Info, Err: stored.Err}
		case upload.Wait:
			if do.Err != nil {
				w.log.Warn("save", zap.Error(do.Err))
			}
			waiting.Pause(ctx, do.For)
		case upload.Stored:
			w.post(ctx, step.Stored{Step: do.Step})
		default:
			select {
			case <-w.saves.added:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func (w *worker) sendSlice(ctx context.Context, s upload.Slice) error {
	for h, chunk := range s.Chunks(wire.MaxChunk / 4) {
		if err := w.sendChunk(ctx, h, replica.Bytes(chunk)); err != nil {
			return fmt.Errorf("send %s of step %d at %d: %w", h.Part, h.Step, h.Offset, err)
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
