package natslink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/internal/waiting"
)

// presencePause is the pause between two requests whether a neighbour is present.
const presencePause = 5 * time.Millisecond

// pingsPerSilence, plus one, is how many pings are sent in the time after which a
// neighbour counts as silent.
const pingsPerSilence = 3

// lossKind returns ErrSilent or ErrLost for a connection that ended, or could not be
// made, with err.
func lossKind(err error) error {
	if isSilence(err) {
		return allreduce.ErrSilent
	}
	return allreduce.ErrLost
}

// isSilence reports whether a connection failed because nothing came and nothing could be
// sent.
func isSilence(err error) bool {
	var timeout net.Error
	return errors.Is(err, nats.ErrStaleConnection) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &timeout) && timeout.Timeout()
}

// side is the connection to one neighbour.
type side struct {
	side  neighbour.Side
	rank  int
	url   string
	conn  *nats.Conn
	raw   *rawConn // nil where the connection is not the link's own
	hello []byte   // its answer: how to reach its memory
}

// rawConn dials for a nats.Conn and can close the socket under it. nats.Conn holds its
// lock while it writes: only closing the socket frees a write that a frozen neighbour
// blocks.
type rawConn struct {
	ctx  context.Context
	dial Dial

	mu     sync.Mutex
	conn   *countedConn
	closed bool
}

// Dial implements nats.CustomDialer.
func (r *rawConn) Dial(network, address string) (net.Conn, error) {
	dial := r.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c, err := dial(r.ctx, network, address)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	r.conn = &countedConn{Conn: c}
	return r.conn, nil
}

// progress returns how much has moved on the connection.
func (r *rawConn) progress() (received, sent int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return 0, 0
	}
	return r.conn.progress()
}

func (r *rawConn) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.conn != nil {
		_ = r.conn.Close() // the connection is given up in any case
	}
}

// dial connects to the neighbour's mailbox.
func (s *side) dial(ctx context.Context, l *link, m *Mailbox) error {
	patience := max(m.silence, l.session.Silence)
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to, options, err := dialTarget(s.url, m.secret)
	if err != nil {
		return &allreduce.PeerError{Rank: s.rank, Err: fmt.Errorf("%w: %w", allreduce.ErrLost, err)}
	}
	raw := &rawConn{ctx: within, dial: m.dial}
	stop := context.AfterFunc(within, raw.close)
	conn, err := nats.Connect(to, append(options, nats.Name(l.session.name("to a neighbour")),
		nats.Timeout(patience), nats.SetCustomDialer(raw),
		// Pings make answers come, which watchProgress counts like all other bytes.
		nats.PingInterval(patience/(pingsPerSilence+1)), nats.MaxPingsOutstanding(math.MaxInt32),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if last := c.LastError(); err == nil && isSilence(last) {
				err = last // the handler does not get it
			}
			// Frames that reached the own mailbox before must be read first.
			if s.side == neighbour.Previous {
				_ = l.own.FlushTimeout(abortTimeout)
			}
			l.loseConnection(s.side, err)
		}))...)
	if !stop() { // the error of nats after its socket was closed says less
		if err == nil {
			conn.Close()
		}
		err = context.Cause(within)
	}
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("rank %d: %w", s.rank, context.Cause(ctx))
		}
		return &allreduce.PeerError{Rank: s.rank, Err: fmt.Errorf("%w: %s: %w", lossKind(err), to, err)}
	}
	s.conn, s.raw = conn, raw
	l.running.Go(func() { l.watchProgress(s, patience) })
	return nil
}

// waitForNeighbours waits until both neighbours are present in this generation.
func (l *link) waitForNeighbours(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make(chan error, len(l.sides))
	for _, s := range l.sides {
		go func() { errs <- s.waitUntilPresent(ctx, l) }()
	}
	var first error
	for range l.sides {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel(err)
		}
	}
	return first
}

// untilLost returns a context that ends once a neighbour is lost, with the reason.
func (l *link) untilLost(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-l.lost.Any():
			cancel(l.lost.FirstErr())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (s *side) waitUntilPresent(ctx context.Context, l *link) error {
	ctx, cancel := l.untilLost(ctx)
	defer cancel()
	for {
		m, err := s.conn.RequestWithContext(ctx, l.session.subject(s.rank, kindHello), nil)
		switch {
		case err == nil:
			s.hello = m.Data
			return nil
		case ctx.Err() != nil:
			if err := l.lost.FirstErr(); err != nil {
				return err
			}
			return fmt.Errorf("rank %d is not present: %w", s.rank, context.Cause(ctx))
		case !errors.Is(err, nats.ErrNoResponders):
			return l.publishFailure(s.side, err)
		}
		waiting.Pause(ctx, presencePause)
	}
}

// leave tells the neighbour and closes the connection if it is the link's own.
func (s *side) leave(session Session, notice []byte, within time.Duration) {
	if s.conn == nil {
		return
	}
	kind := kindLeaveNext // this rank is the previous one's next
	if s.side == neighbour.Next {
		kind = kindLeavePrevious
	}
	if s.raw != nil {
		timer := time.AfterFunc(within, s.raw.close)
		defer timer.Stop()
		defer s.conn.Close()
	}
	// A neighbour that cannot be told is gone, or frozen and notices later.
	if s.conn.Publish(session.subject(s.rank, kind), notice) == nil {
		_ = s.conn.FlushTimeout(within)
	}
}
