package coordinator_test

import (
	"errors"
	"sync"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

// ledger is a checkpoint service that keeps events.
type ledger struct {
	mu     sync.Mutex
	events []wire.Event
	keys   map[string]bool
	asked  int
	refuse int // so many requests
}

// ledger starts one whose newest checkpoint is of a step.
func (c *cluster) ledger(step uint64, refuse int) *ledger {
	c.t.Helper()
	l := &ledger{keys: map[string]bool{}, refuse: refuse}
	conn := c.dial()
	answer := func(m *bus.Message, result any, failure error) {
		_ = bus.Respond(m, result, failure) // a coordinator without an answer asks again
	}
	subscribe := func(subject string, f func(*bus.Message)) {
		if _, err := bus.Subscribe(conn, subject, f); err != nil {
			c.t.Fatal(err)
		}
	}
	subscribe(c.subjects.Events(), func(m *bus.Message) {
		var events []wire.Event
		if err := wire.Decode(m.Data, &events); err != nil {
			c.t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.asked++; l.asked <= l.refuse {
			answer(m, nil, errors.New("the disk is full"))
			return
		}
		for _, e := range events {
			if !l.keys[e.Key] {
				l.keys[e.Key] = true
				l.events = append(l.events, e)
			}
		}
		answer(m, nil, nil)
	})
	subscribe(c.subjects.SnapshotInfo(wire.IDCheckpoint), func(m *bus.Message) {
		answer(m, wire.SnapshotInfo{Found: step > 0, Step: step}, nil)
	})
	return l
}

// of returns the events of a kind.
func (l *ledger) of(kind wire.EventKind) (found []wire.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}
