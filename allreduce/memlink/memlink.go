// Package memlink carries the frames of a ring in memory, for tests and
// simulations.
//
// It keeps the order of frames and loses none, unless a Fault does. Neighbours notice
// a killed rank at once. Nothing in it starts a goroutine.
package memlink

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
)

// buffered is how many frames a link holds before Send waits.
const buffered = 64

// Message is one frame in flight.
type Message struct{ Header, Payload []byte }

// Fault decides what arrives in place of a frame that a rank sends: the frame
// itself, an altered one (the parts are its own copies), nothing, or several.
// It may sleep, and keep a frame to return it later. It runs in Send.
type Fault func(m Message) []Message

// Link is one rank's link. It implements allreduce.Link.
type Link struct {
	rank           int
	previous, next *Link
	frames         chan Message
	credits        chan int
	lost           *neighbour.Tracker
	closed         chan struct{}
	closing        sync.Once
	fault          atomic.Pointer[Fault]
}

var _ allreduce.Link = (*Link)(nil)

// NewMesh returns the links of a ring, by rank.
func NewMesh(world int) []*Link {
	mesh := make([]*Link, world)
	for r := range mesh {
		mesh[r] = &Link{
			rank: r, frames: make(chan Message, buffered), credits: make(chan int, buffered),
			lost: neighbour.New(), closed: make(chan struct{}),
		}
	}
	for r, l := range mesh {
		l.next = mesh[(r+1)%world]
		l.previous = mesh[(r+world-1)%world]
	}
	return mesh
}

// SetFault sets the fault of the frames that this rank sends; nil is none.
func (l *Link) SetFault(f Fault) {
	if f == nil {
		l.fault.Store(nil)
		return
	}
	l.fault.Store(&f)
}

// Send implements allreduce.Link.
func (l *Link) Send(ctx context.Context, header, payload []byte) error {
	list := []Message{{slices.Clone(header), slices.Clone(payload)}}
	if f := l.fault.Load(); f != nil {
		list = (*f)(list[0])
	}
	for _, m := range list {
		if err := l.alive(); err != nil {
			return err
		}
		select {
		case l.next.frames <- m:
		case <-l.lost.Gone(neighbour.Next):
			return l.lost.Err(neighbour.Next)
		case <-l.closed:
			return l.alive()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Receive implements allreduce.Link.
func (l *Link) Receive(ctx context.Context, use func(header, payload []byte) error) error {
	m, err := l.receive(ctx)
	if err != nil {
		return err
	}
	return use(m.Header, m.Payload)
}

func (l *Link) receive(ctx context.Context) (m Message, err error) {
	if err := l.alive(); err != nil {
		return m, err
	}
	select {
	case m := <-l.frames:
		return m, nil
	default:
	}
	select {
	case m := <-l.frames:
		return m, nil
	case <-l.lost.NoMoreFrames():
		select {
		case m := <-l.frames:
			return m, nil
		default:
			return m, l.lost.NoMoreFramesErr()
		}
	case <-l.closed:
		return m, l.alive()
	case <-ctx.Done():
		return m, context.Cause(ctx)
	}
}

// Acknowledge implements allreduce.Link.
func (l *Link) Acknowledge(n int) error {
	select {
	case l.previous.credits <- n:
	case <-l.lost.Gone(neighbour.Previous): // Receive reports it
	case <-l.closed:
	}
	return l.alive()
}

// Credits implements allreduce.Link.
func (l *Link) Credits(ctx context.Context) (int, error) {
	select {
	case n := <-l.credits:
		return n, nil
	case <-l.lost.Gone(neighbour.Next):
		return 0, l.lost.Err(neighbour.Next)
	case <-l.closed:
		return 0, l.alive()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Lost implements allreduce.Link.
func (l *Link) Lost() <-chan struct{} { return l.lost.Any() }

// Err implements allreduce.Link.
func (l *Link) Err() error { return l.lost.FirstErr() }

// Abort implements allreduce.Link.
func (l *Link) Abort(reason error) {
	l.end(neighbour.NewLeaveNotice(l.rank, reason).Err())
}

// Close implements allreduce.Link.
func (l *Link) Close() error {
	l.Abort(nil)
	return nil
}

// Kill ends the link as the death of its process would.
func (l *Link) Kill() {
	l.end(&allreduce.PeerError{Rank: l.rank, Err: allreduce.ErrLost})
}

// Cut breaks the connection to the next rank like a network failure between the two:
// nothing that is sent arrives any more, and only this rank learns of it.
func (l *Link) Cut() {
	l.SetFault(func(Message) []Message { return nil })
	l.lost.MarkLost(neighbour.Next, &allreduce.PeerError{Rank: l.next.rank, Err: allreduce.ErrSilent})
}

func (l *Link) end(err error) {
	l.closing.Do(func() {
		close(l.closed)
		l.next.lost.MarkLost(neighbour.Previous, err)
		l.previous.lost.MarkLost(neighbour.Next, err)
	})
}

func (l *Link) alive() error {
	select {
	case <-l.closed:
		return fmt.Errorf("link of rank %d: closed", l.rank)
	default:
		return nil
	}
}
