package shmlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const boot = "the boot of this machine"

// patience bounds what should take microseconds, so that a defect fails a test instead of
// hanging it.
const patience = 5 * time.Minute

func pair(t *testing.T) (*Sender, *Receiver) {
	t.Helper()
	r, err := Listen(boot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s, err := Dial(t.Context(), boot, r.Offer())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, r
}

func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waits for ever for ", what)
	}
	return v
}

// TestFrames sends more than the memory holds: all of it comes, in order, and the sender
// waits for room meanwhile.
func TestFrames(t *testing.T) {
	s, r := pair(t)
	const frames = 40
	payload := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, Size/3-1000*i) }
	sent, full := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		for i := range frames {
			for {
				ok, err := s.Send([]byte(fmt.Sprint("frame ", i)), payload(i))
				if err != nil {
					sent <- err
					return
				}
				if ok {
					break
				}
				select {
				case full <- struct{}{}:
				default: // it was full before
				}
				<-s.Room()
			}
		}
		s.Finish()
		sent <- nil
	}()
	within(t, full, "the memory to be full")
	for i := range frames {
		f := within(t, r.Frames(), "a frame")
		err := r.Use(f, func(header, got []byte) error {
			if string(header) != fmt.Sprint("frame ", i) || !bytes.Equal(got, payload(i)) {
				return fmt.Errorf("frame %d is %q with %d bytes", i, header, len(got))
			}
			return nil
		})
		if err == nil {
			err = r.Acknowledge(1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := within(t, sent, "the sender"); err != nil {
		t.Error(err)
	}
	within(t, r.Ended(), "the end of the sender")
	for sum := 0; sum < frames; {
		sum += within(t, s.Credits(), "acknowledgements")
	}
}

// TestWhatWasSentArrives closes a sender: what it gave before can still be received.
func TestWhatWasSentArrives(t *testing.T) {
	s, r := pair(t)
	if ok, err := s.Send([]byte("h"), []byte("the last words")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.Close()
	within(t, r.Ended(), "the end of the sender")
	err := r.Use(within(t, r.Frames(), "the frame"), func(_, payload []byte) error {
		if string(payload) != "the last words" {
			return fmt.Errorf("came: %q", payload)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := r.Acknowledge(1); err != nil {
		t.Error("an acknowledgement to a sender that has ended: ", err)
	}
	if _, err := s.Send(nil, nil); !errors.Is(err, ErrClosed) {
		t.Error("a closed sender sends: ", err)
	}
}

// TestCloseWaitsForUse closes a receiver while a frame is used: its memory stays until
// then.
func TestCloseWaitsForUse(t *testing.T) {
	s, r := pair(t)
	if ok, err := s.Send(nil, []byte("abc")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f := within(t, r.Frames(), "the frame")
	closed := make(chan struct{})
	err := r.Use(f, func(_, payload []byte) error {
		go func() { r.Close(); close(closed) }()
		within(t, s.Ended(), "the end of the receiver")
		if string(payload) != "abc" {
			return fmt.Errorf("%q", payload)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	within(t, closed, "the close")
	if err := r.Use(f, nil); !errors.Is(err, ErrClosed) {
		t.Error("a closed receiver uses a frame: ", err)
	}
	_, err = s.Send(nil, []byte("abc"))
	if _, again := s.Send(nil, []byte("abc")); err == nil && again == nil {
		t.Error("a sender does not see that nobody receives")
	}
}

// TestRefusals takes no offer of another machine or user, and no memory that its owner
// can shrink.
func TestRefusals(t *testing.T) {
	r, err := Listen(boot)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for why, o := range map[string]Offer{
		"offers no memory":   {},
		"another host":       {Boot: "b", User: r.Offer().User, Socket: r.Offer().Socket},
		"belongs to user":    {Boot: boot, User: r.Offer().User + 1, Socket: r.Offer().Socket},
		"connection refused": {Boot: boot, User: r.Offer().User, Socket: r.Offer().Socket + "0"},
	} {
		if s, err := Dial(t.Context(), boot, o); err == nil || !strings.Contains(err.Error(), why) {
			if err == nil {
				s.Close()
			}
			t.Errorf("%+v: %v, not %q", o, err, why)
		}
	}

	for why, give := range map[string]func(*net.UnixConn) error{
		"no control message": func(c *net.UnixConn) error { _, err := c.Write(greeting[:]); return err },
		"seals": func(c *net.UnixConn) error {
			fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
			if err != nil {
				return err
			}
			defer func() { _ = unix.Close(fd) }()
			if err := unix.Ftruncate(fd, Size); err != nil {
				return err
			}
			_, _, err = c.WriteMsgUnix(greeting[:], unix.UnixRights(fd), nil)
			return err
		},
		"greeting": func(c *net.UnixConn) error {
			m, fd, err := newMemory(Size)
			if err != nil {
				return err
			}
			defer m.close()
			defer func() { _ = unix.Close(fd) }()
			_, _, err = c.WriteMsgUnix([]byte("hello"), unix.UnixRights(fd), nil)
			return err
		},
	} {
		c, err := net.DialUnix("unix", nil, r.Offer().address())
		if err == nil {
			err = give(c)
		}
		if err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 500)
		n, _ := c.Read(said)
		if n < 2 || r.Taken() {
			t.Errorf("%s: answered %q, taken: %v", why, said[:n], r.Taken())
		}
		c.Close()
	}
	s, err := Dial(t.Context(), boot, r.Offer()) // the right one is still taken
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestDialEnds dials a receiver that does not answer, until its context ends.
func TestDialEnds(t *testing.T) {
	o, err := newOffer(boot)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", o.address())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	newer := errors.New("a newer plan")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(newer) })
	if _, err := Dial(ctx, boot, o); !errors.Is(err, newer) {
		t.Errorf("not the reason of the context: %v", err)
	}
}
