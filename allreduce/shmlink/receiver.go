package shmlink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Receiver is the end that receives, from at most one sender. One goroutine calls Use and
// Acknowledge; any may call Finish and Close.
type Receiver struct {
	offer    Offer
	listener *net.UnixListener
	frames   chan Frame
	ended    chan struct{} // nothing more will come
	closed   chan struct{}
	closing  sync.Once
	running  sync.WaitGroup

	mu     sync.Mutex
	conn   *net.UnixConn // nil before a sender came
	memory *memory
	done   bool // finished or closed

	// Of the goroutine that receives.
	freed      int // frames used and not yet said to be free
	freedBytes int
}

// Listen makes a receiver and waits for its sender in the background. boot is the boot ID
// of this machine.
func Listen(boot string) (*Receiver, error) {
	o, err := newOffer(boot)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", o.address())
	if err != nil {
		return nil, err
	}
	r := &Receiver{
		offer: o, listener: l,
		frames: make(chan Frame, buffered), ended: make(chan struct{}), closed: make(chan struct{}),
	}
	r.running.Go(func() {
		defer close(r.ended)
		if in := r.accept(); in != nil {
			r.read(in)
		}
	})
	return r, nil
}

// Offer returns what the sender has to know.
func (r *Receiver) Offer() Offer { return r.offer }

// Taken reports whether a sender has come.
func (r *Receiver) Taken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory != nil
}

// accept waits for a sender of this user; nil: this end was closed before. No other can
// connect then.
func (r *Receiver) accept() io.Reader {
	defer func() { _ = r.listener.Close() }() // it may be closed already
	for {
		conn, err := r.listener.AcceptUnix()
		if err != nil {
			return nil
		}
		if !r.hold(conn) {
			return nil
		}
		if m, err := greet(conn); err == nil {
			r.mu.Lock()
			r.memory = m
			r.mu.Unlock()
			return bufio.NewReaderSize(conn, 64*recordLen)
		}
		_ = conn.Close() // it was told why
	}
}

// hold makes a connection the one that Close closes.
func (r *Receiver) hold(conn *net.UnixConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		_ = conn.Close()
		return false
	}
	r.conn = conn
	return true
}

// greet takes the memory of a sender, and tells it whether it did.
func greet(conn *net.UnixConn) (*memory, error) {
	m, err := takeMemory(conn)
	verdict := ""
	if err != nil {
		verdict = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if _, e := io.WriteString(conn, verdict+"\n"); e != nil && err == nil {
		m.close()
		err = e
	}
	return m, err
}

func takeMemory(conn *net.UnixConn) (*memory, error) {
	if err := samePeer(conn); err != nil {
		return nil, err
	}
	var b [len(greeting)]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, k, _, _, err := conn.ReadMsgUnix(b[:], oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:k])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(fmt.Errorf("a greeting with %d control messages, not one", len(messages)), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(fmt.Errorf("a greeting with %d descriptors, not one", len(fds)), err)
	}
	defer func() { _ = unix.Close(fds[0]) }() // the mapping stays
	if b != greeting || n != len(b) {
		return nil, fmt.Errorf("the greeting is %x, not %x", b[:n], greeting)
	}
	return openMemory(fds[0], Size)
}

func (r *Receiver) read(in io.Reader) {
	for {
		var b [recordLen]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return // the sender has ended
		}
		f, err := decodeRecord(b, Size)
		if err != nil {
			return
		}
		select {
		case r.frames <- f:
		case <-r.closed:
			return
		}
	}
}

// Frames are the frames as they come, to be given to Use in this order.
func (r *Receiver) Frames() <-chan Frame { return r.frames }

// Use calls use with the parts of a frame, and frees its memory when use returns.
func (r *Receiver) Use(f Frame, use func(header, payload []byte) error) error {
	r.mu.Lock()
	m := r.memory
	r.mu.Unlock()
	if err := m.use(f.at, f.length, func(payload []byte) error { return use(f.header, payload) }); err != nil {
		return err
	}
	r.freed++
	if r.freedBytes += footprint(f.length); r.freedBytes >= Size/4 {
		return r.answer(0)
	}
	return nil
}

// Acknowledge tells the sender that n more of its frames were used. To a sender that has
// ended it says nothing.
func (r *Receiver) Acknowledge(n int) error { return r.answer(n) }

func (r *Receiver) answer(acknowledged int) error {
	b := encodeAnswer(acknowledged, r.freed)
	r.freed, r.freedBytes = 0, 0
	if _, err := r.conn.Write(b[:]); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return ErrClosed
		}
		return err
	}
	return nil
}

// Ended is closed when the sender has ended or finished, and all that it sent is in
// Frames; or when this end was closed.
func (r *Receiver) Ended() <-chan struct{} { return r.ended }

// Finish says that no acknowledgement will come, and lets no sender come any more.
func (r *Receiver) Finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	_ = r.listener.Close() // it may be closed already
	if r.conn != nil {
		_ = r.conn.CloseWrite() // likewise
	}
}

// Close frees what the receiver holds.
func (r *Receiver) Close() {
	r.Finish()
	r.closing.Do(func() { close(r.closed) })
	r.mu.Lock()
	if r.conn != nil {
		_ = r.conn.Close() // it may be closed already
	}
	r.mu.Unlock()
	r.running.Wait()
	if r.memory != nil {
		r.memory.close()
	}
}
