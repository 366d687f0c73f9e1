package worker

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
)

// serve answers peers and hears their hellos until the returned function is
// called.
func (w *worker) serve() (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			if err := s.Unsubscribe(); err != nil {
				w.log.Debug("unsubscribe", zap.String("subject", s.Subject), zap.Error(err))
			}
		}
	}
	control, bulk := w.cfg.NATS, w.cfg.bulk()
	for _, on := range []struct {
		conn    *nats.Conn
		answers map[string]nats.MsgHandler
	}{
		{control, map[string]nats.MsgHandler{
			w.subjects.Hello():                w.hearHello,
			w.subjects.Beat(w.reg.ID):         w.onOwnBeat,
			w.subjects.Committed():            w.hearCommitted,
			w.subjects.Stop():                 w.hearStop,
			w.subjects.Refused(w.reg.ID):      w.takeRefusal,
			w.subjects.SnapshotInfo(w.reg.ID): w.giveInfo,
			w.subjects.Pin(w.reg.ID):          w.givePin,
		}},
		{bulk, map[string]nats.MsgHandler{
			w.subjects.Entry(w.reg.ID):    w.giveEntry,
			w.subjects.Snapshot(w.reg.ID): w.giveSnapshot,
		}},
	} {
		for subject, answer := range on.answers {
			s, err := on.conn.Subscribe(subject, answer)
			if err != nil {
				stop()
				return nil, fmt.Errorf("subscribe %s: %w", subject, err)
			}
			subs = append(subs, s)
		}
		// Nothing may be missed after the worker is known.
		if err := on.conn.Flush(); err != nil {
			stop()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
	}
	return stop, nil
}

func (w *worker) hearHello(m *nats.Msg) {
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

func (w *worker) hearCommitted(m *nats.Msg) {
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
func (w *worker) hearStop(*nats.Msg) {
	select {
	case w.events <- step.StopRequested{}:
	case <-w.closed:
	}
}

// takeRefusal hands a refusal to the loop, unless one waits already: they are
// repeated.
func (w *worker) takeRefusal(m *nats.Msg) {
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

// answered logs an answer that could not be given; who asked will ask again.
func (w *worker) answered(m *nats.Msg, err error) {
	if err != nil {
		w.log.Debug("answer", zap.String("subject", m.Subject), zap.Error(err))
	}
}

func (w *worker) giveEntry(m *nats.Msg) {
	var r wire.Range
	if err := wire.Decode(m.Data, &r); err != nil {
		w.answered(m, transfer.Refuse(m, err))
		return
	}
	number, err := strconv.ParseUint(r.Name, 10, 64)
	if err != nil {
		w.answered(m, transfer.Refuse(m, fmt.Errorf("entry of step %q: %w", r.Name, err)))
		return
	}
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch entry, later := s.EntryAt(w.now(), number); {
	case entry != nil:
		w.answered(m, transfer.Answer(m, r, replica.WordBytes(entry)))
	case later:
		w.answered(m, transfer.Later(m))
	default:
		w.answered(m, transfer.Refuse(m, fmt.Errorf("entry of step %d is not held: step %d is", number, s.State.Step)))
	}
}

func (w *worker) giveSnapshot(m *nats.Msg) {
	var r wire.Range
	if err := wire.Decode(m.Data, &r); err != nil {
		w.answered(m, transfer.Refuse(m, err))
		return
	}
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	state := s.StateAt(w.now(), r.Step)
	if state == nil {
		w.answered(m, transfer.Refuse(m, fmt.Errorf("snapshot of step %d is not held: step %d is", r.Step, s.State.Step)))
		return
	}
	if part := pin.Part(state, r.Name); part != nil {
		w.answered(m, transfer.Answer(m, r, replica.Bytes(*part)))
		return
	}
	w.answered(m, transfer.Refuse(m, fmt.Errorf("a snapshot has no part %q", r.Name)))
}

func (w *worker) giveInfo(m *nats.Msg) {
	s := w.replica
	s.mu.RLock()
	defer s.mu.RUnlock()
	info, err := pin.Describe(s.State, w.cfg.Cores)
	w.reply(m, info, err)
}

// givePin answers those who ask that a state be pinned. What is pinned does not change,
// and is described once.
func (w *worker) givePin(m *nats.Msg) {
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
func (w *worker) reply(m *nats.Msg, result any, err error) {
	var reply wire.Reply
	if err == nil {
		reply.Result, err = json.Marshal(result)
	}
	if err != nil {
		reply = wire.Reply{Error: err.Error()}
	}
	b, err := wire.Encode(reply)
	if err == nil {
		err = m.Respond(b)
	}
	w.answered(m, err)
}
