package worker

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// How a worker finds out whether workers reach each other's mailboxes.

// probeRoutes finds out, once, how this worker and the registered ones reach each other,
// and puts that into its registration. The worker is not admitted meanwhile: it has sent no
// heartbeat yet.
func (w *worker) probeRoutes(ctx context.Context) error {
	if w.cfg.Route == nil || w.probed {
		return nil
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	registered, err := retryUntilDrained(ctx, w, "list the registered workers", func() (<-chan []wire.Registration, error) {
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
	if w.reg.Ring, err = w.cfg.Route(ctx, mailboxes, gone); err != nil {
		return err
	}
	w.probed = true
	if w.reg.Ring == "" {
		return nil
	}
	_, err = retryUntilDrained(ctx, w, "say that the ring goes through NATS", func() (struct{}, error) {
		err := w.lease.Update(ctx, w.reg)
		if step.Settled(err) {
			err = nil // or the worker registers again, with the route
		}
		return struct{}{}, err
	})
	return err
}

// probeRoutesAgain finds out, in the background, whether the members of a plan still reach
// each other's mailboxes. Channel unreachable tells the loop.
func (w *worker) probeRoutesAgain(ctx context.Context, p wire.Plan) {
	if w.cfg.Route == nil || !w.probing.CompareAndSwap(false, true) {
		return
	}
	var mailboxes []string
	for _, m := range p.Members {
		mailboxes = append(mailboxes, m.Mailbox)
	}
	w.group.Go(func() error {
		defer w.probing.Store(false)
		switch route, err := w.cfg.Route(ctx, mailboxes, nil); {
		case err != nil:
			w.log.Warn("probe the mailboxes of the members", zap.Error(err)) // repeated when the next ring breaks
		case route == wire.RingBroker:
			select {
			case w.unreachable <- struct{}{}:
			default: // the loop is about to be told
			}
		}
		return nil
	})
}

// routeThroughNATS says in the registration that the ring has to go through NATS.
func (w *worker) routeThroughNATS(ctx context.Context) {
	if w.reg.Ring == "" {
		w.reg.Ring = wire.RingBroker
		w.announce(ctx, "say that the ring goes through NATS", func() {})
	}
}
