package natslink

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
)

// buffered is how many messages a link holds: the largest window, and a reserve.
const buffered = allreduce.MaxWindow + 64

// headerKey carries the frame header in hex. Its length makes the whole NATS header a
// multiple of 8 bytes, so that the words after it are aligned.
const headerKey = "Transfer"

// How long leaving may take when a neighbour does not read: after an aborted reduction,
// and after a complete one, when the last frames must still arrive.
const (
	abortTimeout = 100 * time.Millisecond
	closeTimeout = time.Second
)

// link implements allreduce.Link. Everything for this rank comes over own; frames to a
// neighbour go over that side's connection.
type link struct {
	session Session
	own     *nats.Conn
	sides   [2]*side // by neighbour.Side
	subs    []*nats.Subscription
	frames  chan *nats.Msg
	credits chan *nats.Msg
	lost    *neighbour.Tracker
	memory  memory // of neighbours on this host

	closed  chan struct{}
	closing sync.Once
	release func()         // frees what own holds for this link
	running sync.WaitGroup // goroutines of the link

	nextFrame, previousCredit string // subjects
}

var _ allreduce.Link = (*link)(nil)

func newLink(s Session) *link {
	l := &link{
		session: s, lost: neighbour.New(), closed: make(chan struct{}), release: func() {},
		memory: memory{why: errors.New("memory is not asked for")},
		frames: make(chan *nats.Msg, buffered), credits: make(chan *nats.Msg, buffered),
		nextFrame:      s.subject(s.neighbour(neighbour.Next), kindFrame),
		previousCredit: s.subject(s.neighbour(neighbour.Previous), kindCredit),
	}
	l.sides[neighbour.Previous] = &side{side: neighbour.Previous, rank: s.neighbour(neighbour.Previous), url: s.Previous}
	l.sides[neighbour.Next] = &side{side: neighbour.Next, rank: s.neighbour(neighbour.Next), url: s.Next}
	return l
}

// subscribe makes this rank present. It subscribes to hello last, so a neighbour that
// gets an answer can send.
func (l *link) subscribe() error {
	onLeave := func(s neighbour.Side) nats.MsgHandler {
		return func(m *nats.Msg) {
			var n neighbour.LeaveNotice
			if err := json.Unmarshal(m.Data, &n); err != nil {
				n = neighbour.LeaveNotice{Rank: l.sides[s].rank, Text: "and did not say why"}
			}
			l.drainMemory(s)
			l.lost.MarkLost(s, n.Err())
		}
	}
	ownSubject := func(kind string) string { return l.session.subject(l.session.Rank, kind) }
	var errs error
	add := func(sub *nats.Subscription, err error) {
		if err != nil {
			errs = errors.Join(errs, err)
			return
		}
		l.subs = append(l.subs, sub)
	}
	add(l.own.ChanSubscribe(ownSubject(kindFrame), l.frames))
	add(l.own.ChanSubscribe(ownSubject(kindCredit), l.credits))
	add(l.own.Subscribe(ownSubject(kindLeavePrevious), onLeave(neighbour.Previous)))
	add(l.own.Subscribe(ownSubject(kindLeaveNext), onLeave(neighbour.Next)))
	add(l.own.Subscribe(ownSubject(kindHello), func(m *nats.Msg) {
		_ = m.Respond(l.memory.offer()) // a neighbour that does not get it asks again
	}))
	if errs == nil {
		errs = l.own.Flush()
	}
	if errs != nil {
		return fmt.Errorf("subscribe: %w", errs)
	}
	return nil
}

// Send implements allreduce.Link.
func (l *link) Send(ctx context.Context, header, payload []byte) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.closed:
		return errClosed
	case <-l.lost.Gone(neighbour.Next):
		return l.lost.Err(neighbour.Next)
	default:
	}
	if l.memory.out != nil {
		return l.sendThroughMemory(ctx, header, payload)
	}
	m := nats.Msg{
		Subject: l.nextFrame, Data: payload,
		Header: nats.Header{headerKey: {hex.EncodeToString(header)}},
	}
	return l.publishFailure(neighbour.Next, l.sides[neighbour.Next].conn.PublishMsg(&m))
}

// Receive implements allreduce.Link.
func (l *link) Receive(ctx context.Context, use func(header, payload []byte) error) error {
	m, f, err := either(ctx, l, l.frames, l.memory.frames(), l.lost.NoMoreFrames(), l.lost.NoMoreFramesErr)
	switch {
	case err != nil:
		return err
	case m == nil:
		return l.memory.use(f, use)
	}
	var header []byte
	if h := m.Header[headerKey]; len(h) == 1 {
		// A header that is not hex is short, and so a corrupt frame.
		header, _ = hex.DecodeString(h[0])
	}
	return use(header, m.Data)
}

// Acknowledge implements allreduce.Link. To a lost rank it does nothing.
func (l *link) Acknowledge(n int) error {
	if l.lost.Err(neighbour.Previous) != nil {
		return nil
	}
	if l.memory.used {
		return l.memory.acknowledge(n)
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(n))
	err := l.sides[neighbour.Previous].conn.Publish(l.previousCredit, b[:])
	if err = l.publishFailure(neighbour.Previous, err); l.lost.Err(neighbour.Previous) != nil {
		return nil
	}
	return err
}

// Credits implements allreduce.Link.
func (l *link) Credits(ctx context.Context) (int, error) {
	m, n, err := either(ctx, l, l.credits, l.memory.credits(), l.lost.Gone(neighbour.Next), func() error { return l.lost.Err(neighbour.Next) })
	switch {
	case err != nil:
		return 0, err
	case m == nil:
		return n, nil
	case len(m.Data) != 4:
		return 0, &allreduce.PeerError{Rank: l.sides[neighbour.Next].rank, Err: fmt.Errorf("%w: acknowledgement of %d bytes", allreduce.ErrCorrupt, len(m.Data))}
	}
	return int(binary.LittleEndian.Uint32(m.Data)), nil
}

// either returns the next message of NATS, or what came through the memory and no
// message, or the reason once gone is closed. What came before is returned first.
func either[T any](ctx context.Context, l *link, messages <-chan *nats.Msg, memory <-chan T, gone <-chan struct{}, reason func() error) (m *nats.Msg, v T, err error) {
	select {
	case m = <-messages:
		return m, v, nil
	case v = <-memory:
		return nil, v, nil
	default:
	}
	select {
	case m = <-messages:
	case v = <-memory:
	case <-gone:
		select {
		case m = <-messages:
		case v = <-memory:
		default:
			err = reason()
		}
	case <-l.closed:
		err = errClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return m, v, err
}

// publishFailure turns an error of a publish into its meaning for the ring.
func (l *link) publishFailure(s neighbour.Side, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-l.closed:
		return errClosed
	default:
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("send to rank %d: %w", l.sides[s].rank, err)
	}
	l.loseConnection(s, err)
	return l.lost.Err(s)
}

// loseConnection records that the connection to a neighbour broke.
func (l *link) loseConnection(s neighbour.Side, err error) {
	kind := lossKind(err)
	if err != nil {
		kind = fmt.Errorf("%w: %w", kind, err)
	}
	l.drainMemory(s)
	l.lost.MarkLost(s, &allreduce.PeerError{Rank: l.sides[s].rank, Err: kind})
}

// loseOwnConnection records that this rank itself cannot be reached and is at fault.
func (l *link) loseOwnConnection(where string) {
	err := &allreduce.PeerError{Rank: l.session.Rank, Err: fmt.Errorf("%w %s", allreduce.ErrLost, where)}
	l.lost.MarkLost(neighbour.Previous, err)
	l.lost.MarkLost(neighbour.Next, err)
}

// Lost implements allreduce.Link.
func (l *link) Lost() <-chan struct{} { return l.lost.Any() }

// Err implements allreduce.Link.
func (l *link) Err() error { return l.lost.FirstErr() }

// Close implements allreduce.Link.
func (l *link) Close() error {
	l.leave(nil, closeTimeout)
	return nil
}

// Abort implements allreduce.Link.
func (l *link) Abort(reason error) { l.leave(reason, abortTimeout) }

func (l *link) leave(reason error, within time.Duration) {
	l.closing.Do(func() {
		close(l.closed)
		l.memory.finish() // before the notice, which ends the wait for frames
		notice, err := json.Marshal(neighbour.NewLeaveNotice(l.session.Rank, reason))
		if err != nil {
			notice = nil // neighbours learn that it left, not why
		}
		var wg sync.WaitGroup
		for _, s := range l.sides {
			wg.Go(func() { s.leave(l.session, notice, within) })
		}
		wg.Wait()
		l.release()
		l.memory.close()
		l.running.Wait()
	})
}
