package allreduce

import (
	"context"
	"fmt"
)

// reduce runs an exchange: this goroutine receives and adds, a second one sends.
// Channel added connects them; it has room for every receive, so receiving never
// waits for sending.
func (r *Ring) reduce(ctx context.Context, own, result []int32) error {
	x := NewExchange(r.place, r.step, r.cfg.Sum, r.cfg.ChunkWords, own, result)
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	added := make(chan struct{}, len(x.Receives))
	sent := make(chan error, 1)
	go func() {
		err := r.sendChunks(inner, x, added)
		if err != nil {
			cancel(err)
		}
		sent <- err
	}()
	if r.receiveChunks(inner, x, added, cancel) {
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

// sendChunks sends all chunks in order. Each waits until the chunks that it needs were
// received and added, and until the next rank has given credit for it.
func (r *Ring) sendChunks(ctx context.Context, x *Exchange, added <-chan struct{}) error {
	have := 0
	for i := range x.Sends {
		for ; have < x.Needs(i); have++ {
			select {
			case <-added:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for r.credits == 0 {
			n, err := r.link.Credits(ctx)
			if err != nil {
				return err
			}
			if n < 1 || n > r.cfg.Window {
				return &PeerError{r.place.Next(), fmt.Errorf("%w: acknowledges %d frames of a window of %d", ErrMismatch, n, r.cfg.Window)}
			}
			r.credits += n
		}
		header, payload := x.Frame(i, r.sent)
		if err := r.link.Send(ctx, header[:], payload); err != nil {
			return err
		}
		r.credits--
		r.sent++
	}
	return nil
}

// receiveChunks reports whether all chunks came; if not, it has cancelled the exchange
// with the reason.
func (r *Ring) receiveChunks(ctx context.Context, x *Exchange, added chan<- struct{}, cancel context.CancelCauseFunc) bool {
	for i := 0; i < len(x.Receives); {
		old := false
		if err := r.link.Receive(ctx, func(header, payload []byte) (err error) {
			old, err = x.Take(i, r.received, header, payload)
			return err
		}); err != nil {
			cancel(err)
			return false
		}
		if old {
			continue
		}
		if i == 0 && r.cfg.Begun != nil {
			r.cfg.Begun(r.step)
		}
		i++
		r.received++
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
