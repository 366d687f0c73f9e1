package shmlink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Size is the size of the memory of one direction. A frame can be as large.
const Size = 8 << 20

// buffered is how many frames, and acknowledgements, one end takes from the socket
// before it waits for its user.
const buffered = 1024

// ErrTooLarge says that the frame does not fit, however empty the memory is.
var ErrTooLarge = errors.New("frame too large")

// greeting is what a sender writes first, together with the descriptor of the memory.
var greeting = [...]byte{'G', 'R', 'M', 1}

// Sender is the end that sends. One goroutine calls Send; any may call Finish and Close.
type Sender struct {
	conn    *net.UnixConn
	memory  *memory
	credits chan int
	room    chan struct{}
	ended   chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	arena arena
	wrong error // what the receiver said makes no sense
}

// Dial takes an offer; boot is the boot ID of this machine. Every error means that there is
// no such way to the other process; unless ctx has ended, another way may do.
func Dial(ctx context.Context, boot string, o Offer) (*Sender, error) {
	if err := o.check(boot); err != nil {
		return nil, err
	}
	conn, err := net.DialUnix("unix", nil, o.address()) // does not wait: the listener is there, or is not
	if err != nil {
		return nil, err
	}
	s, err := newSender(ctx, conn)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func newSender(ctx context.Context, conn *net.UnixConn) (*Sender, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.CloseRead() })() // ends the wait for the answer
	if err := samePeer(conn); err != nil {
		return nil, err
	}
	m, fd, err := newMemory(Size)
	if err != nil {
		return nil, err
	}
	_, _, err = conn.WriteMsgUnix(greeting[:], unix.UnixRights(fd), nil)
	err = errors.Join(err, unix.Close(fd))
	in := bufio.NewReader(conn)
	if err == nil {
		err = readVerdict(in)
	}
	if err != nil {
		m.close()
		return nil, err
	}
	s := &Sender{
		conn: conn, memory: m, arena: arena{size: Size},
		credits: make(chan int, buffered), room: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.running.Go(func() {
		defer close(s.ended)
		s.read(in)
	})
	return s, nil
}

// readVerdict reads the line with which a receiver answers a greeting: empty, or why it
// does not take the memory.
func readVerdict(in *bufio.Reader) error {
	switch line, err := in.ReadString('\n'); {
	case err != nil:
		return fmt.Errorf("the other worker does not take the memory: %w", err)
	case line != "\n":
		return fmt.Errorf("the other worker does not take the memory: %s", strings.TrimSpace(line))
	}
	return nil
}

func (s *Sender) read(in *bufio.Reader) {
	for {
		var b [answerLen]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return // the receiver has ended
		}
		acknowledged, freed := decodeAnswer(b)
		s.mu.Lock()
		if !s.arena.free(freed) && s.wrong == nil {
			s.wrong = fmt.Errorf("frees %d frames of %d", freed, len(s.arena.placed))
		}
		wrong := s.wrong
		s.mu.Unlock()
		select {
		case s.room <- struct{}{}:
		default:
		}
		if wrong != nil {
			return
		}
		if acknowledged > 0 {
			select {
			case s.credits <- acknowledged:
			default: // more than any window has frames
				return
			}
		}
	}
}

// Send gives a frame to the receiver and keeps neither part. It reports false while there
// is no room: Room tells when to try again. After an error other than ErrTooLarge no frame
// can be sent.
func (s *Sender) Send(header, payload []byte) (bool, error) {
	if len(header) > maxHeader || len(payload) > Size {
		return false, fmt.Errorf("%w: a frame of %d bytes with a header of %d bytes, of at most %d and %d", ErrTooLarge, len(payload), len(header), Size, maxHeader)
	}
	s.mu.Lock()
	at, ok := s.arena.place(len(payload))
	err := s.wrong
	s.mu.Unlock()
	if !ok || err != nil {
		return false, err
	}
	if err := s.memory.use(at, len(payload), func(part []byte) error {
		copy(part, payload)
		return nil
	}); err != nil {
		return false, err
	}
	b := encodeRecord(Frame{at, len(payload), header})
	if _, err := s.conn.Write(b[:]); err != nil {
		return false, err
	}
	return true, nil
}

// Room gets a value when memory was freed. Ended says when none will be any more.
func (s *Sender) Room() <-chan struct{} { return s.room }

// Credits are the acknowledgements of the receiver.
func (s *Sender) Credits() <-chan int { return s.credits }

// Ended is closed when the receiver has ended or finished: no acknowledgement will come.
func (s *Sender) Ended() <-chan struct{} { return s.ended }

// Finish says that no frame will come. Those that were sent still arrive.
func (s *Sender) Finish() { _ = s.conn.CloseWrite() } // fails only if it is closed

// Close frees what the sender holds.
func (s *Sender) Close() {
	_ = s.conn.Close() // frees a Send that waits; it may be closed already
	s.memory.close()
	s.running.Wait()
}
