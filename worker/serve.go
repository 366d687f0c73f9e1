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

// serve answers peers and hears their hellos until the returned function is
// called.
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
			w.subjects.Hello():                w.hearHello,
			w.subjects.Beat(w.reg.ID):         w.onOwnBeat,
			w.subjects.Committed():            w.hearCommitted,
			w.subjects.Stop():                 w.hearStop,
			w.subjects.Refused(w.reg.ID):      w.takeRefusal,
			w.subjects.SnapshotInfo(w.reg.ID): w.giveInfo,
			w.subjects.Pin(w.reg.ID):          w.givePin,
		}},
		{bulk, map[string]func(*bus.Message){
			w.subjects.Entry(w.reg.ID):    w.giveEntry,
			w.subjects.Snapshot(w.reg.ID): w.giveSnapshot,
		}},
	} {
		for subject, answer := range on.answers {
			// Each on its own: what takes long, as a digest does, holds up no heartbeat.
			s, err := bus.Subscribe(on.conn, subject, answer)
			if err != nil {
				stop()
				return nil, err
			}
			stops = append(stops, s)
		}
		// Nothing may be missed after the worker is known.
		if err := on.conn.Flush(ctx); err != nil {
			stop()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
	}
	return stop, nil
}

func (w *worker) hearHello(m *bus.Message) {
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

func (w *worker) hearCommitted(m *bus.Message) {
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

// hearStop takes the wish to stop from whoever started the run: the coordinator, or etcd,
// may be what is gone. Members agree on it in their next step.
func (w *worker) hearStop(*bus.Message) {
	select {
	case w.events <- step.StopRequested{}:
	case <-w.closed:
	}
}

// takeRefusal hands a refusal to the loop, unless one waits already: they are
// repeated.
func (w *worker) takeRefusal(m *bus.Message) {
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

// replied logs an answer that could not be given: the one that asked will ask again.
func (w *worker) replied(m *bus.Message, err error) {
	if err != nil {
		w.log.Debug("reply", zap.String("subject", m.Subject), zap.Error(err))
	}
}

func (w *worker) giveEntry(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	w.replied(m, transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) {
		number, err := strconv.ParseUint(r.Name, 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("entry of step %q: %w", r.Name, err)
		}
		switch entry, later := s.EntryAt(w.now(), number); {
		case entry != nil:
			return transfer.Cut(replica.WordBytes(entry), r)
		case later:
			return nil, 0, transfer.ErrLater
		}
		return nil, 0, fmt.Errorf("entry of step %d is not held: step %d is", number, s.State.Step)
	}))
}

func (w *worker) giveSnapshot(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	w.replied(m, transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) {
		state := s.StateAt(w.now(), r.Step)
		if state == nil {
			return nil, 0, fmt.Errorf("snapshot of step %d is not held: step %d is", r.Step, s.State.Step)
		}
		if part := pin.Part(state, r.Name); part != nil {
			return transfer.Cut(replica.Bytes(*part), r)
		}
		return nil, 0, fmt.Errorf("a snapshot has no part %q", r.Name)
	}))
}

func (w *worker) giveInfo(m *bus.Message) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	info, err := pin.Describe(s.State, w.cfg.Cores)
	w.reply(m, info, err)
}

// givePin answers those who ask that a state be pinned. What is pinned does not change,
// and is described once.
func (w *worker) givePin(m *bus.Message) {
	var ask wire.Pin
	if err := wire.Decode(m.Data, &ask); err != nil {
		w.reply(m, nil, err)
		return
	}
	var pinned *pin.Pin
	var state *replica.State
	w.replica.change(func() {
		if pinned = w.replica.Pin(w.now(), ask.Step, ask.For); pinned != nil {
			state = pinned.State
		}
	})
	switch {
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
	w.replied(m, bus.Respond(m, result, err))
}
