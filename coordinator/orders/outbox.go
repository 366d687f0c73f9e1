package orders

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// maxBatch is how many events are sent at once.
const maxBatch = 64

// Outbox holds events for the ledger until the checkpoint service has acknowledged them. They
// are sent in order, each until it is acknowledged: by their keys the service counts each
// once.
type Outbox struct {
	events   []wire.Event
	sending  int // of these, in the batch under way
	failures int // of that batch
}

// Add adds an event.
func (o *Outbox) Add(e wire.Event) { o.events = append(o.events, e) }

// Empty reports whether all events are acknowledged.
func (o *Outbox) Empty() bool { return len(o.events) == 0 }

// Next is the batch to send now; none while one is under way.
func (o *Outbox) Next() []wire.Event {
	if o.sending > 0 {
		return nil
	}
	o.sending = min(len(o.events), maxBatch)
	return o.events[:o.sending:o.sending]
}

// Sent takes the result of the batch: the keys that are acknowledged, or after which pause
// the same batch is to be sent again.
func (o *Outbox) Sent(err error) (acknowledged []string, retry time.Duration) {
	if err != nil {
		o.failures++
		return nil, Backoff.After(o.failures)
	}
	for _, e := range o.events[:o.sending] {
		acknowledged = append(acknowledged, e.Key)
	}
	o.events, o.sending, o.failures = o.events[o.sending:], 0, 0
	return acknowledged, 0
}
