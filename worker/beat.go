package worker

import (
	"context"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// sentBeat is the newest heartbeat and when the loop made it.
type sentBeat struct {
	beat wire.Beat
	at   time.Time
}

// maxBusy is how many failure timeouts one event may keep the loop busy, such as an update
// of a large model, before the worker's heartbeats stop.
const maxBusy = 20

// publishBeat makes a heartbeat of the worker's present state and sends it.
func (w *worker) publishBeat() {
	m := w.machine
	b := w.beat
	b.ID, b.Incarnation, b.State = w.reg.ID, w.reg.Incarnation, m.State()
	b.Generation, b.Rank, b.Step, b.Speed = m.Generation(), m.Rank(), w.replica.State.Step, number.Float(w.speed.Speed())
	b.Lineage, b.Behind = m.Lineage(), m.Behind()
	joules, watts := w.cfg.Meter.Totals()
	b.Joules, b.Watts = number.Float(joules), number.Float(watts)
	b.Goroutines = runtime.NumGoroutine()
	b.Link, _ = w.link.Load().(string)
	w.lastBeat.Store(&sentBeat{b, time.Now()})
	w.sendBeat(b)
}

// findDivergence puts what the state shows about divergence into the heartbeat, and reports
// whether the run stops for it.
func (w *worker) findDivergence() bool {
	f := w.replica.State.History.Finding()
	w.beat.Warning = f.Warning(w.cfg.Spec.Optimizer.LR)
	w.beat.Diverged = f.Stops(w.cfg.Spec.StopOnDivergence)
	return w.beat.Diverged
}

func (w *worker) sendBeat(b wire.Beat) {
	now := w.now()
	var patience time.Duration
	b.Deaf, patience = w.echoes.sent(now, w.cfg.Bus.Connected())
	b.Sent, b.Patience = now.UnixNano(), number.Float(patience.Seconds())
	if err := w.publish(w.subjects.Beat(b.ID), b); err != nil {
		w.log.Warn("heartbeat", zap.Error(err))
	}
}

// repeatBeats repeats the newest heartbeat while the loop is busy with one event: a busy
// worker is not a dead one.
func (w *worker) repeatBeats(ctx context.Context) error {
	every := w.cfg.Spec.FailureTimeout / 8
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		t := w.lastBeat.Load()
		if t == nil {
			continue // no heartbeat was made yet
		}
		if silent := time.Since(t.at); silent > every && silent < maxBusy*w.cfg.Spec.FailureTimeout {
			w.sendBeat(t.beat)
		}
	}
}
