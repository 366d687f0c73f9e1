package coordinator

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/orders"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	eventsAtOnce = 64
	eventsWithin = 3 * time.Second // an answer is due
)

// outbox sends events to the checkpoint service, in order, each until it is acknowledged.
// By their keys the service counts each once.
type outbox struct {
	conn         bus.Conn
	subject      string
	log          *zap.Logger
	events       *queue[wire.Event]
	acknowledged chan []string // keys of events that are acknowledged
}

func newOutbox(conn bus.Conn, subject string, log *zap.Logger) *outbox {
	return &outbox{conn: conn, subject: subject, log: log, events: newQueue[wire.Event](), acknowledged: make(chan []string)}
}

func (o *outbox) add(e wire.Event) { o.events.add(e) }

// run sends until open has ended and nothing is left, or ctx ends, which must not be before
// open. Events that are not sent then stand in the plan, for the next leader.
func (o *outbox) run(ctx, open context.Context) {
	for {
		batch := o.events.take(open, eventsAtOnce)
		if open.Err() != nil && len(batch) == 0 {
			batch = o.events.takeNow(eventsAtOnce) // no more will come
		}
		if len(batch) == 0 {
			return
		}
		if err := o.deliver(ctx, batch); err != nil {
			o.log.Warn("events did not reach the ledger", zap.String("first", batch[0].Key), zap.Int("events", len(batch)), zap.Error(err))
			return
		}
		var keys []string
		for _, e := range batch {
			keys = append(keys, e.Key)
		}
		select {
		case o.acknowledged <- keys:
		case <-open.Done(): // the loop has ended
		}
	}
}

// deliver sends a batch until it is acknowledged or ctx ends.
func (o *outbox) deliver(ctx context.Context, batch []wire.Event) error {
	failing := false
	return waiting.Retry(ctx, orders.Backoff, func(ctx context.Context) (bool, error) {
		err := o.send(ctx, batch)
		if err != nil && ctx.Err() == nil && !failing {
			failing = true
			o.log.Info("events wait for the checkpoint service", zap.Error(err))
		}
		return err == nil, err
	})
}

func (o *outbox) send(ctx context.Context, batch []wire.Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventsWithin)
	defer cancel()
	if err := bus.Deliver(ctx, o.conn, o.subject, batch); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
