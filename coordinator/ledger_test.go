package coordinator_test

import (
	"encoding/json"
	"sync"

	"github.com/nats-io/nats.go"

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
	answer := func(m *nats.Msg, r wire.Reply) {
		body, err := wire.Encode(r)
		if err != nil {
			c.t.Error(err)
		}
		_ = m.Respond(body) // who hears no answer asks again
	}
	subscribe := func(subject string, f nats.MsgHandler) {
		if _, err := conn.Subscribe(subject, f); err != nil {
			c.t.Fatal(err)
		}
	}
	subscribe(c.subjects.Events(), func(m *nats.Msg) {
		var events []wire.Event
		if err := wire.Decode(m.Data, &events); err != nil {
			c.t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.asked++; l.asked <= l.refuse {
			answer(m, wire.Reply{Error: "the disk is full"})
			return
		}
		for _, e := range events {
			if !l.keys[e.Key] {
				l.keys[e.Key] = true
				l.events = append(l.events, e)
			}
		}
		answer(m, wire.Reply{})
	})
	subscribe(c.subjects.SnapshotInfo(wire.IDCheckpoint), func(m *nats.Msg) {
		body, err := json.Marshal(wire.SnapshotInfo{Found: step > 0, Step: step})
		if err != nil {
			c.t.Error(err)
		}
		answer(m, wire.Reply{Result: body})
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
