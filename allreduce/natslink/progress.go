package natslink

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/allreduce/neighbour"
)

// A neighbour is silent when nothing moves on the connection to it: nothing comes, and
// nothing that was sent arrives. Answers to pings alone would not show it: a ping queues
// behind earlier frames, which on a slow link take longer than a neighbour may be silent.

const (
	// maxWrite is how much is written at once: on a slow link a whole frame takes long,
	// and smaller writes show that the connection moves.
	maxWrite = 1 << 16
	// minAcknowledged is how much must be acknowledged to count as progress. Pings are
	// less: the kernel of a neighbour acknowledges those even if its process has stopped.
	minAcknowledged = 1 << 12
)

// countedConn counts the bytes that move on a connection.
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

// SetWriteDeadline implements net.Conn and does nothing: a slow write is no failure while
// it moves. watchProgress detects one that does not move, and closes the connection.
func (c *countedConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *countedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// progress returns the bytes received, and the bytes sent: where that is known, only those
// that the other side has acknowledged.
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
	_ = raw.Control(func(fd uintptr) { // fails on a closed connection
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			sent = int64(info.Bytes_acked)
		}
	})
	return received, sent
}

// watchProgress marks the neighbour on a side as lost once nothing has moved for the time
// of silence.
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
			_ = l.own.FlushTimeout(abortTimeout) // frames from before its silence are read first
		}
		l.loseConnection(s.side, nats.ErrStaleConnection)
		s.raw.close()
		return
	}
}
