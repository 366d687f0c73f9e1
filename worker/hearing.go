package worker

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// hearing shares a step.Hearing among those who send heartbeats and who hear them.
type hearing struct {
	mu  sync.Mutex
	own *step.Hearing
}

func (h *hearing) said(now time.Time, connected bool) (deaf bool, patience time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own.Said(now, connected), h.own.Patience(now)
}

// hearBeat takes heartbeats under the ID of this worker: its own, unless another
// claims the ID.
func (w *worker) hearBeat(m *nats.Msg) {
	var b wire.Beat
	if err := wire.Decode(m.Data, &b); err != nil {
		w.log.Warn("heartbeat", zap.Error(err))
		return
	}
	if t := w.told.Load(); t == nil || t.beat.Incarnation != b.Incarnation {
		return
	}
	w.hearing.mu.Lock()
	defer w.hearing.mu.Unlock()
	var sent time.Time
	if b.Sent != 0 {
		sent = time.Unix(0, b.Sent)
	}
	w.hearing.own.Heard(w.now(), sent)
}
