package meter

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	maxBatch    = 256 << 10 // bytes of records in one message
	maxRecords  = 256
	sendTimeout = 10 * time.Second
	firstWait   = 100 * time.Millisecond // after a failure; doubled with each one more
	longestWait = 5 * time.Second
)

// Run looks at the meters once an interval and sends records until ctx ends;
// then it looks a last time, stores that, and returns nil.
func (m *Meter) Run(ctx context.Context) error {
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.wake:
				_ = m.send(ctx, 0) // fails when ctx ends, and has logged everything else
			}
		}
	})
	ticks := time.NewTicker(m.options.Interval)
	defer ticks.Stop()
	var early <-chan time.Time // a counter is used once it has moved: most do within milliseconds
	if len(m.sampler.banks) > 0 {
		early = time.After(m.options.Interval / 5)
	}
	for {
		select {
		case <-early:
			m.sample(false)
		case <-ctx.Done():
			m.sample(true)
			return nil
		case <-ticks.C:
			m.sample(false)
		}
	}
}

// Flush looks at the meters and returns once everything up to that look is
// acknowledged. It may be called while Run runs and after it.
func (m *Meter) Flush(ctx context.Context) error {
	m.sample(true)
	return m.sent(ctx)
}

// Finish is Flush at the end of a process: where it succeeds nothing is looked at
// any more, so that nothing is left in the log.
func (m *Meter) Finish(ctx context.Context) error {
	finish := func(finished bool) {
		m.sampling.Lock()
		defer m.sampling.Unlock()
		if finished && !m.finished && !m.closed {
			m.look(true)
		}
		m.finished = finished
	}
	finish(true)
	err := m.sent(ctx)
	if err != nil {
		finish(false)
	}
	return err
}

// sent returns once everything that was queued is acknowledged.
func (m *Meter) sent(ctx context.Context) error {
	m.mu.Lock()
	target := m.issued
	m.mu.Unlock()
	if err := m.send(ctx, target); err != nil {
		return fmt.Errorf("flush readings: %d are not acknowledged: %w", len(m.pending()), err)
	}
	return nil
}

// send sends until nothing is left, or the first `target` records of this Meter
// are acknowledged, again and again if it has to. Its error is that ctx ended,
// and why nothing was acknowledged.
func (m *Meter) send(ctx context.Context, target uint64) error {
	select {
	case m.sending <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-m.sending }()
	wait, failing := firstWait, false
	for {
		records, before := m.batch()
		if len(records) == 0 || target > 0 && before >= target {
			return nil
		}
		attempt, cancel := context.WithTimeout(ctx, sendTimeout)
		err := m.options.Send(attempt, records)
		cancel()
		if err == nil {
			m.acknowledge(len(records))
			if failing {
				m.options.Log("meter: readings are acknowledged again")
			}
			wait, failing = firstWait, false
			continue
		}
		if ctx.Err() == nil && !failing {
			failing = true
			m.options.Log("meter: readings wait for the checkpoint service: %v", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}
