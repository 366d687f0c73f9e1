package natslink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/allreduce/shmlink"
)

// Frames between neighbours on one host go through memory; so do their acknowledgements.
// Everything else stays with NATS: whether a neighbour is present, how to reach its
// memory, that it is lost or silent, and why it leaves. Where memory is not to be had,
// frames go over NATS as well.

// memory is the two directions of a link; each is nil without memory.
type memory struct {
	in   *shmlink.Receiver // from the previous rank
	out  *shmlink.Sender   // to the next
	why  error             // why out is nil
	used bool              // a frame has come through it; of the goroutine that receives
}

// endPatience is how long a neighbour that has ended its part of the memory may live on
// without a word.
const endPatience = 2 * closeTimeout

// listenForMemory makes this rank's memory reachable for the previous rank.
func (l *link) listenForMemory(boot string) {
	in, err := shmlink.Listen(boot)
	if err != nil {
		return // the previous rank finds no offer, and says so
	}
	l.memory.in = in
	l.running.Go(func() { l.watchEnd(in.Ended(), neighbour.Previous) })
}

// openMemory opens the memory of the next rank, if it offers one. It fails only if ctx ends
// or a neighbour is lost meanwhile.
func (l *link) openMemory(ctx context.Context, boot string) error {
	ctx, cancel := l.untilLost(ctx)
	defer cancel()
	var o shmlink.Offer
	if hello := l.sides[neighbour.Next].hello; len(hello) > 0 {
		if err := json.Unmarshal(hello, &o); err != nil {
			l.memory.why = fmt.Errorf("its offer of memory: %w", err)
			return nil
		}
	}
	out, err := shmlink.Dial(ctx, boot, o)
	if err != nil {
		l.memory.why = err
		return context.Cause(ctx)
	}
	l.memory.out, l.memory.why = out, nil
	l.running.Go(func() { l.watchEnd(out.Ended(), neighbour.Next) })
	return nil
}

// ThroughMemory reports whether frames to the next rank go through memory, and why not.
func (l *link) ThroughMemory() (bool, error) { return l.memory.out != nil, l.memory.why }

// watchEnd waits for the end of a neighbour's part of the memory. If it died or left, NATS
// tells; if NATS does not get through, it left, as far as this rank can know.
func (l *link) watchEnd(ended <-chan struct{}, s neighbour.Side) {
	select {
	case <-ended:
	case <-l.closed:
		return
	}
	timer := time.NewTimer(endPatience)
	defer timer.Stop()
	select {
	case <-timer.C:
		l.lost.MarkLost(s, &allreduce.PeerError{
			Rank: l.sides[s].rank, Err: fmt.Errorf("%w: its end of the memory is closed", allreduce.ErrLeft),
		})
	case <-l.lost.Gone(s):
	case <-l.closed:
	}
}

// sendThroughMemory is Send through memory.
func (l *link) sendThroughMemory(ctx context.Context, header, payload []byte) error {
	for {
		ok, err := l.memory.out.Send(header, payload)
		switch {
		case ok:
			return nil
		case errors.Is(err, shmlink.ErrTooLarge):
			return fmt.Errorf("send to rank %d: %w", l.sides[neighbour.Next].rank, err)
		}
		room := l.memory.out.Room()
		if err != nil {
			room = nil // it has ended: watchEnd says so if nobody else does
		}
		select {
		case <-room:
		case <-l.lost.Gone(neighbour.Next):
			return l.lost.Err(neighbour.Next)
		case <-l.closed:
			return errClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drainMemory waits until frames that a neighbour sent before it was lost are there. A
// neighbour that died or left has ended its part of the memory; one that is cut off or
// frozen has not.
func (l *link) drainMemory(s neighbour.Side) {
	if s != neighbour.Previous || l.memory.in == nil || !l.memory.in.Taken() {
		return
	}
	timer := time.NewTimer(abortTimeout)
	defer timer.Stop()
	select {
	case <-l.memory.in.Ended():
	case <-l.closed:
	case <-timer.C:
	}
}

func (m *memory) offer() []byte {
	if m.in == nil {
		return nil
	}
	b, err := json.Marshal(m.in.Offer())
	if err != nil {
		return nil // as without memory
	}
	return b
}

func (m *memory) frames() <-chan shmlink.Frame {
	if m.in == nil {
		return nil
	}
	return m.in.Frames()
}

func (m *memory) credits() <-chan int {
	if m.out == nil {
		return nil
	}
	return m.out.Credits()
}

func (m *memory) use(f shmlink.Frame, use func(header, payload []byte) error) error {
	m.used = true
	err := m.in.Use(f, use)
	if errors.Is(err, shmlink.ErrClosed) {
		return errClosed
	}
	return err
}

func (m *memory) acknowledge(n int) error {
	err := m.in.Acknowledge(n)
	if errors.Is(err, shmlink.ErrClosed) {
		return errClosed
	}
	return err
}

// finish says that this rank sends and acknowledges nothing more.
func (m *memory) finish() {
	if m.out != nil {
		m.out.Finish()
	}
	if m.in != nil {
		m.in.Finish()
	}
}

func (m *memory) close() {
	if m.out != nil {
		m.out.Close()
	}
	if m.in != nil {
		m.in.Close()
	}
}
