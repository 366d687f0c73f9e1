package worker

import (
	"context"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// serve answers peers and receives their messages until the returned function is called.
func (w *worker) serve(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	control, bulk := w.cfg.Bus, w.cfg.bulk()
	for _, on := range []struct {
		conn    bus.Conn
		answers map[string]func(*bus.Message)
	}{
		{control, map[string]func(*bus.Message){
			w.subjects.Hello():                w.onHello,
			w.subjects.Beat(w.reg.ID):         w.onOwnBeat,
			w.subjects.Committed():            w.onCommitted,
			w.subjects.Stop():                 w.onStop,
			w.subjects.Refused(w.reg.ID):      w.onRefusal,
			w.subjects.SnapshotInfo(w.reg.ID): w.answerInfo,
			w.subjects.Pin(w.reg.ID):          w.answerPin,
		}},
		{bulk, map[string]func(*bus.Message){
			w.subjects.Entry(w.reg.ID):    w.answerEntry,
			w.subjects.Snapshot(w.reg.ID): w.answerSnapshot,
		}},
	} {
		for subject, answer := range on.answers {
			// Each answer has a goroutine: a slow one, such as a digest, delays no heartbeat.
			s, err := bus.Subscribe(on.conn, subject, answer)
			if err != nil {
				stop()
				return nil, err
			}
			stops = append(stops, s)
		}
		// No message may be lost once the worker is registered.
		if err := on.conn.Flush(ctx); err != nil {
			stop()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
	}
	return stop, nil
}

func (w *worker) onHello(m *bus.Message) {
	var h wire.Hello
	if err := wire.Decode(m.Data, &h); err != nil {
		w.log.Warn("hello", zap.Error(err))
		return
	}
	select {
	case w.events <- step.HelloReceived{Hello: h}:
	case <-w.closed:
	}
}

func (w *worker) onCommitted(m *bus.Message) {
	var c wire.Committed
	if err := wire.Decode(m.Data, &c); err != nil {
		w.log.Warn("committed", zap.Error(err))
		return
	}
	select {
	case w.events <- step.Stored{Step: c.Step}:
	case <-w.closed:
	}
}

// onStop takes a request to stop straight from the process that started the run: the
// coordinator, or etcd, may be gone. Members agree on it in their next step.
func (w *worker) onStop(*bus.Message) {
	select {
	case w.events <- step.StopRequested{}:
	case <-w.closed:
	}
}

// onRefusal passes a refusal to the loop, unless one already waits: refusals are repeated.
func (w *worker) onRefusal(m *bus.Message) {
	var r wire.Refusal
	if err := wire.Decode(m.Data, &r); err != nil {
		w.log.Warn("refusal", zap.Error(err))
		return
	}
	select {
	case w.refusals <- r:
	default:
	}
}

// logReply logs that an answer could not be sent: the other worker will ask again.
func (w *worker) logReply(m *bus.Message, err error) {
	if err != nil {
		w.log.Debug("reply", zap.String("subject", m.Subject), zap.Error(err))
	}
}

func (w *worker) answerEntry(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	w.logReply(m, transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) {
		number, err := strconv.ParseUint(r.Name, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("entry of step %q: %w", r.Name, err)
		}
		switch entry, later := s.EntryAt(w.now(), number); {
		case entry != nil:
			return transfer.Piece(replica.WordBytes(entry), r)
		case later:
			return nil, 0, transfer.ErrLater
		}
		return nil, 0, fmt.Errorf("entry of step %d is not held: step %d is", number, s.State.Step)
	}))
}

func (w *worker) answerSnapshot(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	w.logReply(m, transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) {
		state := s.StateAt(w.now(), r.Step)
		if state == nil {
			return nil, 0, fmt.Errorf("snapshot of step %d is not held: step %d is", r.Step, s.State.Step)
		}
		if err := state.Refresh(); err != nil {
			return nil, 0, err
		}
		if part := pin.Part(state, r.Name); part != nil {
			return transfer.Piece(replica.Bytes(*part), r)
		}
		return nil, 0, fmt.Errorf("a snapshot has no part %q", r.Name)
	}))
}

func (w *worker) answerInfo(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	info, err := pin.Describe(s.State, w.cfg.Cores)
	w.reply(m, info, err)
}

// answerPin answers a request to pin a state. A pinned state does not change, and is
// described once.
func (w *worker) answerPin(m *bus.Message) {
	var ask wire.Pin
	if err := wire.Decode(m.Data, &ask); err != nil {
		w.reply(m, nil, err)
		return
	}
	var pinned *pin.Pin
	var state *replica.State
	var err error
	w.replica.change(func() {
		if err = w.replica.State.Refresh(); err != nil { // it may be copied
			return
		}
		if pinned = w.replica.Pin(w.now(), ask.Step, ask.For); pinned != nil {
			state = pinned.State
		}
	})
	switch {
	case err != nil:
		w.reply(m, nil, err)
		return
	case pinned == nil:
		w.reply(m, nil, fmt.Errorf("step %d has passed", ask.Step))
		return
	case state == nil:
		w.reply(m, wire.SnapshotInfo{Step: pinned.At}, nil)
		return
	case pinned.Info == nil:
		info, err := pin.Describe(state, w.cfg.Cores)
		if err != nil {
			w.reply(m, nil, err)
			return
		}
		pinned.Info = &info
	}
	w.reply(m, pinned.Info, nil)
}

// reply answers with a result or an error.
func (w *worker) reply(m *bus.Message, result any, err error) {
	w.logReply(m, bus.Respond(m, result, err))
}
