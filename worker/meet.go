package worker

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// How a worker finds out in which way it and the others reach each other.

// meet finds out, once, how this worker and those that are registered reach each
// other, and says so in its registration. Nobody takes it in meanwhile: it has sent
// no heartbeat yet.
func (w *worker) meet(ctx context.Context) error {
	if w.cfg.Meet == nil || w.met {
		return nil
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	registered, err := insist(ctx, w, "see who is registered", func() (<-chan []wire.Registration, error) {
		return w.cfg.Store.WatchWorkers(watching)
	})
	if err != nil {
		return err
	}
	var mailboxes []string
	for _, other := range <-registered {
		mailboxes = append(mailboxes, other.Mailbox)
	}
	gone := make(chan string)
	go func() { // ends with watching
		for all := range registered {
			for _, url := range mailboxes {
				if slices.ContainsFunc(all, func(r wire.Registration) bool { return r.Mailbox == url }) {
					continue
				}
				select {
				case gone <- url:
				case <-watching.Done():
					return
				}
			}
		}
	}()
	if w.reg.Ring, err = w.cfg.Meet(ctx, mailboxes, gone); err != nil {
		return err
	}
	w.met = true
	if w.reg.Ring == "" {
		return nil
	}
	_, err = insist(ctx, w, "say that the ring goes through NATS", func() (struct{}, error) {
		err := w.lease.Update(ctx, w.reg)
		if errors.Is(err, membership.ErrLost) || errors.Is(err, membership.ErrTaken) {
			err = nil // it registers anew, with what there is to say
		}
		return struct{}{}, err
	})
	return err
}

// meetAgain finds out, in the background, whether the members of a plan still reach
// each other's mailboxes: a network may break between workers that stay in touch with
// everybody else. The loop hears of it by apart.
func (w *worker) meetAgain(ctx context.Context, p wire.Plan) {
	if w.cfg.Meet == nil || p.Ring == wire.RingBroker || !w.meeting.CompareAndSwap(false, true) {
		return
	}
	var mailboxes []string
	for _, m := range p.Members {
		mailboxes = append(mailboxes, m.Mailbox)
	}
	w.group.Go(func() error {
		defer w.meeting.Store(false)
		switch way, err := w.cfg.Meet(ctx, mailboxes, nil); {
		case err != nil:
			w.log.Warn("find out who reaches whom", zap.Error(err)) // it is asked again when the next ring breaks
		case way == wire.RingBroker:
			select {
			case w.apart <- struct{}{}:
			default: // it is about to be told
			}
		}
		return nil
	})
}

// detour says in the registration that the ring has to go through NATS.
func (w *worker) detour(ctx context.Context) {
	if w.reg.Ring == "" {
		w.reg.Ring = wire.RingBroker
		w.announce(ctx, "say that the ring goes through NATS", func() {})
	}
}
