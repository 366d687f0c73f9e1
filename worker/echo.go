package worker

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// echoMonitor shares a step.EchoMonitor between the senders and the receiver of heartbeats.
type echoMonitor struct {
	mu      sync.Mutex
	monitor *step.EchoMonitor
}

func (m *echoMonitor) sent(now time.Time, connected bool) (deaf bool, patience time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.monitor.Sent(now, connected), m.monitor.Patience(now)
}

// onOwnBeat takes heartbeats under the ID of this worker: its own, unless another worker
// uses the ID.
func (w *worker) onOwnBeat(m *bus.Message) {
	var b wire.Beat
	if err := wire.Decode(m.Data, &b); err != nil {
		w.log.Warn("heartbeat", zap.Error(err))
		return
	}
	if t := w.lastBeat.Load(); t == nil || t.beat.Incarnation != b.Incarnation {
		return
	}
	w.echoes.mu.Lock()
	defer w.echoes.mu.Unlock()
	var sent time.Time
	if b.Sent != 0 {
		sent = time.Unix(0, b.Sent)
	}
	w.echoes.monitor.Received(w.now(), sent)
}
