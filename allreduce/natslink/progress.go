package natslink

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/allreduce/internal/loss"
)

// A neighbour is silent when nothing moves on the connection to it: nothing comes, and
// nothing of what was sent arrives. Answers to pings alone would not tell: a ping
// stands behind the frames that were sent before it, and on a slow link those take
// longer than a neighbour may be silent.

const (
	// piece is how much is written at once: on a slow link the whole of a frame takes
	// long, and the connection shows that it moves by the pieces.
	piece = 1 << 16
	// pace is how much must have gone for that to count. Pings are less, which the
	// kernel of a neighbour takes that has stopped itself.
	pace = 1 << 12
)

// moving counts what moves on a connection.
type moving struct {
	net.Conn
	come, gone atomic.Int64 // bytes
}

// Read implements net.Conn.
func (c *moving) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.come.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c *moving) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := c.Conn.Write(b[done:min(done+piece, len(b))])
		done += n
		c.gone.Add(int64(n))
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// SetWriteDeadline implements net.Conn. A write that takes long is no failure while it
// moves; that it does not is found out by who watches, and frees it.
func (c *moving) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *moving) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// moved is how much has come, and how much has gone: as far as the other side has
// acknowledged it, where that is known.
func (c *moving) moved() (come, gone int64) {
	come, gone = c.come.Load(), c.gone.Load()
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return come, gone
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return come, gone
	}
	_ = raw.Control(func(fd uintptr) { // fails on a connection that is closed
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			gone = int64(info.Bytes_acked)
		}
	})
	return come, gone
}

// listen loses the neighbour on a side once nothing has moved for a time.
func (l *link) listen(s *side, silence time.Duration) {
	tick := time.NewTicker(silence / (4 * (pings + 1)))
	defer tick.Stop()
	come, gone := s.raw.moved()
	at, looked := time.Now(), time.Now()
	for {
		select {
		case <-tick.C:
		case <-l.lost.Gone(s.side):
			return
		case <-l.closed:
			return
		}
		now := time.Now()
		if c, g := s.raw.moved(); c > come || g >= gone+pace || now.Sub(looked) > silence/2 { // or this process slept
			come, gone, at = c, g, now
		}
		looked = now
		if now.Sub(at) < silence {
			continue
		}
		if s.side == loss.Previous {
			_ = l.own.FlushTimeout(abortTimeout) // what came before it fell silent is read first
		}
		l.lose(s.side, nats.ErrStaleConnection)
		s.raw.close()
		return
	}
}
