package meter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/waiting"
)

const (
	maxBatch    = 256 << 10 // bytes of records in one message
	maxRecords  = 256
	sendTimeout = 10 * time.Second
)

var sendBackoff = waiting.Backoff{First: 100 * time.Millisecond, Longest: 5 * time.Second}

// Run samples the meters once an interval and sends records until ctx ends; then it takes
// a last sample, stores it, and returns nil.
func (m *Meter) Run(ctx context.Context) error {
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.wake:
				_ = m.send(ctx, 0) // fails when ctx ends; send has logged everything else
			}
		}
	})
	ticks := time.NewTicker(m.options.Interval)
	defer ticks.Stop()
	var early <-chan time.Time // a counter is used once it has moved: most move within milliseconds
	if len(m.sampler.groups) > 0 {
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

// Flush samples the meters and returns once everything up to that sample is acknowledged.
// It may be called while Run runs and after it.
func (m *Meter) Flush(ctx context.Context) error {
	m.sample(true)
	return m.waitAcknowledged(ctx)
}

// Finish is Flush at the end of a process: if it succeeds, nothing is sampled any more, so
// the log stays empty.
func (m *Meter) Finish(ctx context.Context) error {
	finish := func(finished bool) {
		m.sampling.Lock()
		defer m.sampling.Unlock()
		if finished && !m.finished && !m.closed {
			m.sampleLocked(true)
		}
		m.finished = finished
	}
	finish(true)
	err := m.waitAcknowledged(ctx)
	if err != nil {
		finish(false)
	}
	return err
}

// waitAcknowledged returns once everything that was queued is acknowledged.
func (m *Meter) waitAcknowledged(ctx context.Context) error {
	m.mu.Lock()
	target := m.issued
	m.mu.Unlock()
	if err := m.send(ctx, target); err != nil {
		return fmt.Errorf("flush readings: %d are not acknowledged: %w", len(m.pending()), err)
	}
	return nil
}

// send sends, with retries, until nothing is queued, or until the first `target` records
// of this Meter are acknowledged. Its error says that ctx ended, and why nothing was
// acknowledged.
func (m *Meter) send(ctx context.Context, target uint64) error {
	select {
	case m.sending <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-m.sending }()
	failing, done := false, false
	for !done {
		err := waiting.Retry(ctx, sendBackoff, func(ctx context.Context) (bool, error) {
			records, before := m.batch()
			if done = len(records) == 0 || target > 0 && before >= target; done {
				return true, nil
			}
			attempt, cancel := context.WithTimeout(ctx, sendTimeout)
			defer cancel()
			err := m.options.Send(attempt, records)
			switch {
			case err != nil && ctx.Err() == nil && !failing:
				failing = true
				m.options.Log("meter: readings wait for the checkpoint service: %v", err)
			case err == nil && failing:
				failing = false
				m.options.Log("meter: readings are acknowledged again")
			}
			if err == nil {
				m.acknowledge(len(records))
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
