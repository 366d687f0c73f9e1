package allreduce

import (
	"context"
	"fmt"
)

// reduce runs the schedule: this goroutine receives and adds, a second one sends.
// Channel added connects them; it has room for every receive, so receiving never
// waits for sending. Partial sums are kept in result: the place of a chunk is free
// until its final sum comes, which it does only after the partial sum was sent.
func (r *Ring) reduce(ctx context.Context, own, result []int32) error {
	s := NewSchedule(r.cfg.Rank, r.cfg.World, len(own), r.cfg.ChunkWords)
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	added := make(chan struct{}, len(s.Receives))
	sent := make(chan error, 1)
	go func() {
		err := r.sendAll(inner, s, own, result, added)
		if err != nil {
			cancel(err)
		}
		sent <- err
	}()
	if r.receiveAll(inner, s, own, result, added, cancel) {
		select {
		case err := <-sent:
			if err == nil {
				return nil
			}
			sent <- err
		case <-inner.Done():
		}
	}
	// The first failure is the cause, whichever side noticed it.
	err := context.Cause(inner)
	r.link.Abort(err) // frees a send that the transport blocks
	<-sent
	return err
}

func (r *Ring) sendAll(ctx context.Context, s Schedule, own, result []int32, added <-chan struct{}) error {
	for i, t := range s.Sends {
		from := own
		if i >= s.Ready {
			select {
			case <-added:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			from = result
		}
		for r.credits == 0 {
			n, err := r.link.Credits(ctx)
			if err != nil {
				return err
			}
			if n < 1 || n > r.cfg.Window {
				return &PeerError{r.next(), fmt.Errorf("%w: acknowledges %d frames of a window of %d", ErrMismatch, n, r.cfg.Window)}
			}
			r.credits += n
		}
		payload := wordBytes(from[t.Offset : t.Offset+t.Length])
		header := Frame{
			Run: r.run, Generation: r.cfg.Generation, Step: r.step, Sequence: r.sent,
			Rank: r.cfg.Rank, World: r.cfg.World, Transfer: t,
		}.Encode(payload)
		if err := r.link.Send(ctx, header[:], payload); err != nil {
			return err
		}
		r.credits--
		r.sent++
	}
	return nil
}

// receiveAll reports whether all chunks came; if not, it has cancelled the exchange
// with the reason.
func (r *Ring) receiveAll(ctx context.Context, s Schedule, own, result []int32, added chan<- struct{}, cancel context.CancelCauseFunc) bool {
	for _, t := range s.Receives {
		payload, err := r.receive(ctx, t)
		if err != nil {
			cancel(err)
			return false
		}
		to := result[t.Offset : t.Offset+t.Length]
		if t.Phase == ReduceScatter {
			r.cfg.Sum.add(to, own[t.Offset:t.Offset+t.Length], words(payload))
		} else {
			copy(wordBytes(to), payload)
		}
		added <- struct{}{}
		// Acknowledging in quarters of the window keeps the next frames flowing
		// at a quarter of the messages.
		if r.pending++; r.pending >= max(1, r.cfg.Window/4) {
			if err := r.link.Acknowledge(r.pending); err != nil {
				cancel(err)
				return false
			}
			r.pending = 0
		}
	}
	return true
}

// receive returns the payload of the frame that carries t. Frames of older
// generations are dropped; any other unexpected frame is an error.
func (r *Ring) receive(ctx context.Context, t Transfer) ([]byte, error) {
	for {
		header, payload, err := r.link.Receive(ctx)
		if err != nil {
			return nil, err
		}
		f, err := DecodeFrame(header, payload)
		if err == nil {
			if f.Run == r.run && f.Generation < r.cfg.Generation {
				continue
			}
			err = r.check(f, t)
		}
		if err != nil {
			return nil, &PeerError{r.previous(), err}
		}
		r.received++
		return payload, nil
	}
}

// check compares a frame with the expected one.
func (r *Ring) check(f Frame, t Transfer) error {
	switch {
	case f.Run != r.run:
		return fmt.Errorf("%w: %v: run %016x, not %016x", ErrForeign, f, f.Run, r.run)
	case f.Generation != r.cfg.Generation:
		return fmt.Errorf("%w: %v: this is generation %d", ErrForeign, f, r.cfg.Generation)
	case f.Rank != r.previous() || f.World != r.cfg.World:
		return fmt.Errorf("%w: %v: from rank %d of %d, not rank %d of %d", ErrForeign, f, f.Rank, f.World, r.previous(), r.cfg.World)
	case f.Sequence > r.received:
		return fmt.Errorf("%w: %v: frame %d is missing", ErrSequence, f, r.received)
	case f.Sequence < r.received:
		return fmt.Errorf("%w: %v: came again or late, frame %d is due", ErrSequence, f, r.received)
	case f.Step != r.step || f.Transfer != t:
		return fmt.Errorf("%w: %v: due are step %d, %v hop %d chunk %d (words %d+%d)",
			ErrMismatch, f, r.step, t.Phase, t.Hop, t.Chunk, t.Offset, t.Length)
	}
	return nil
}

func (r *Ring) next() int     { return (r.cfg.Rank + 1) % r.cfg.World }
func (r *Ring) previous() int { return (r.cfg.Rank + r.cfg.World - 1) % r.cfg.World }
