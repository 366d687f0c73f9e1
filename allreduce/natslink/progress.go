package natslink

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/allreduce/internal/neighbour"
)

// A neighbour is silent when nothing moves on the connection to it: nothing comes, and
// nothing of what was sent arrives. Answers to pings alone would not tell: a ping
// stands behind the frames that were sent before it, and on a slow link those take
// longer than a neighbour may be silent.

const (
	// piece is how much is written at once: on a slow link the whole of a frame takes
	// long, and the connection shows that it moves by the pieces.
	maxWrite = 1 << 16
	// pace is how much must have gone for that to count. Pings are less, which the
	// kernel of a neighbour takes that has stopped itself.
	minAcknowledged = 1 << 12
)

// moving counts what moves on a connection.
type countedConn struct {
	net.Conn
	received, sent atomic.Int64 // bytes
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := c.Conn.Write(b[done:min(done+maxWrite, len(b))])
		done += n
		c.sent.Add(int64(n))
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// SetWriteDeadline implements net.Conn. A write that takes long is no failure while it
// moves; that it does not is found out by who watches, and frees it.
func (c *countedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *countedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// moved is how much has come, and how much has gone: as far as the other side has
// acknowledged it, where that is known.
func (c *countedConn) progress() (received, sent int64) {
	received, sent = c.received.Load(), c.sent.Load()
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return received, sent
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return received, sent
	}
	_ = raw.Control(func(fd uintptr) { // fails on a connection that is closed
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			sent = int64(info.Bytes_acked)
		}
	})
	return received, sent
}

// listen loses the neighbour on a side once nothing has moved for a time.
func (l *link) watchProgress(s *side, silence time.Duration) {
	tick := time.NewTicker(silence / (4 * (pingsPerSilence + 1)))
	defer tick.Stop()
	received, sent := s.raw.progress()
	lastProgress, lastTick := time.Now(), time.Now()
	for {
		select {
		case <-tick.C:
		case <-l.lost.Gone(s.side):
			return
		case <-l.closed:
			return
		}
		now := time.Now()
		if in, out := s.raw.progress(); in > received || out >= sent+minAcknowledged || now.Sub(lastTick) > silence/2 { // or this process slept
			received, sent, lastProgress = in, out, now
		}
		lastTick = now
		if now.Sub(lastProgress) < silence {
			continue
		}
		if s.side == neighbour.Previous {
			_ = l.own.FlushTimeout(abortTimeout) // what came before it fell silent is read first
		}
		l.loseConnection(s.side, nats.ErrStaleConnection)
		s.raw.close()
		return
	}
}
