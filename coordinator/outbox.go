package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/orders"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// eventsWithin bounds one call of the checkpoint service.
const eventsWithin = 3 * time.Second

// outbox sends events to the checkpoint service.
type outbox struct {
	conn         bus.Conn
	subject      string
	log          *zap.Logger
	added        chan struct{} // holds one token where there may be events
	acknowledged chan []string // keys of events that are acknowledged

	mu     sync.Mutex
	events orders.Outbox
}

func newOutbox(conn bus.Conn, subject string, log *zap.Logger) *outbox {
	return &outbox{conn: conn, subject: subject, log: log, added: make(chan struct{}, 1), acknowledged: make(chan []string)}
}

func (o *outbox) add(e wire.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events.Add(e)
	select {
	case o.added <- struct{}{}:
	default:
	}
}

func (o *outbox) next() []wire.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events.Next()
}

func (o *outbox) sent(err error) (acknowledged []string, retry time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events.Sent(err)
}

// run sends until open has ended and nothing is left, or ctx ends, which must not be before
// open. Events that are not sent then stand in the plan, for the next leader.
func (o *outbox) run(ctx, open context.Context) {
	for {
		closed := open.Err() != nil // no more will come
		batch := o.next()
		switch {
		case len(batch) > 0:
			if !o.deliver(ctx, open, batch) {
				return
			}
		case closed:
			return
		default:
			select {
			case <-o.added:
			case <-open.Done():
			}
		}
	}
}

// deliver sends a batch until it is acknowledged, or ctx ends.
func (o *outbox) deliver(ctx, open context.Context, batch []wire.Event) bool {
	for failing := false; ; failing = true {
		err := o.send(ctx, batch)
		keys, retry := o.sent(err)
		switch {
		case err == nil:
			select {
			case o.acknowledged <- keys:
			case <-open.Done(): // the loop has ended
			}
			return true
		case ctx.Err() != nil:
			o.log.Warn("events did not reach the ledger", zap.String("first", batch[0].Key), zap.Int("events", len(batch)), zap.Error(err))
			return false
		case !failing:
			o.log.Info("events wait for the checkpoint service", zap.Error(err))
		}
		waiting.Pause(ctx, retry)
	}
}

func (o *outbox) send(ctx context.Context, batch []wire.Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventsWithin)
	defer cancel()
	if err := bus.Deliver(ctx, o.conn, o.subject, batch); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
