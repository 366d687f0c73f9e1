package membus

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/gramme-project/gramme/internal/bus"
)

// buffer is how many bytes of data an interrupted connection keeps.
const buffer = 64 << 20

// Conn is a bus.Conn to a Server.
type Conn struct {
	server  *Server
	name    string
	closed  chan struct{}
	running sync.WaitGroup

	// Of server.mu.
	ended      bool
	down       bool
	up         chan struct{} // closed while the connection stands
	reconnects uint64
	unsent     []*bus.Message // published while it was interrupted
	size       int            // of their data
}

// Close ends the connection and its subscriptions, and returns when no handler runs.
func (c *Conn) Close() {
	c.server.mu.Lock()
	if !c.ended {
		c.ended = true
		close(c.closed)
		c.server.targets = slices.DeleteFunc(c.server.targets, func(t *target) bool { return t.conn == c })
	}
	c.server.mu.Unlock()
	c.running.Wait()
}

// Interrupt takes the connection away until the returned function is called.
func (c *Conn) Interrupt() (restore func()) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if !c.down {
		c.down, c.up = true, make(chan struct{})
	}
	return sync.OnceFunc(c.restore)
}

func (c *Conn) restore() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if !c.down || c.ended {
		return
	}
	c.down = false
	c.reconnects++
	unsent := c.unsent
	c.unsent, c.size = nil, 0
	for _, m := range unsent {
		c.server.route(c, m)
	}
	close(c.up)
}

// Connected implements bus.Conn.
func (c *Conn) Connected() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return !c.down && !c.ended
}

// Reconnects implements bus.Conn.
func (c *Conn) Reconnects() uint64 {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.reconnects
}

// Subjects is how many subjects it has subscribed to.
func (c *Conn) Subjects() int {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	n := 0
	for _, t := range c.server.targets {
		if t.conn == c {
			n++
		}
	}
	return n
}

// Publish implements bus.Conn.
func (c *Conn) Publish(m bus.Message) error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.publish(m)
}

// publish sends a copy, or keeps it. server.mu is held.
func (c *Conn) publish(m bus.Message) error {
	m.Header, m.Data = maps.Clone(m.Header), bytes.Clone(m.Data)
	switch {
	case c.ended:
		return bus.ErrClosed
	case !c.down:
		c.server.route(c, &m)
	case c.size+len(m.Data) > buffer:
		return bus.ErrBufferFull
	default:
		c.unsent, c.size = append(c.unsent, &m), c.size+len(m.Data)
	}
	return nil
}

// Request implements bus.Conn.
func (c *Conn) Request(ctx context.Context, m bus.Message) (*bus.Message, error) {
	s := c.server
	answer, none := make(chan *bus.Message, 1), make(chan struct{})
	take := func(m *bus.Message) {
		select {
		case answer <- m:
		default: // the first answer counts
		}
	}
	s.mu.Lock()
	m.Reply = s.inbox()
	s.calls[m.Reply] = &call{&target{conn: c, take: take}, none}
	err := c.publish(m)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.calls, m.Reply)
	}()
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		return a, nil
	case <-none:
		return nil, bus.ErrNoResponders
	case <-c.closed:
		return nil, bus.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Subscribe implements bus.Conn.
func (c *Conn) Subscribe(sub bus.Subscription) (stop func(), err error) {
	type item struct {
		handle  func(*bus.Message)
		message *bus.Message
	}
	s := c.server
	came := make(chan item, sub.Bound())
	done, ended := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ended {
		return nil, fmt.Errorf("subscribe: %w", bus.ErrClosed)
	}
	var own []*target
	for _, pattern := range slices.Sorted(maps.Keys(sub.Handlers)) {
		handle := sub.Handlers[pattern]
		own = append(own, &target{conn: c, pattern: pattern, queue: sub.Queue, take: func(m *bus.Message) {
			select {
			case came <- item{handle, m}:
			default: // as if it had been lost on its way
			}
		}})
	}
	s.targets = append(s.targets, own...)
	c.running.Go(func() { // joined by stop, and by Close
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-c.closed:
				return
			case i := <-came:
				i.handle(i.message)
			}
		}
	})
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.targets = slices.DeleteFunc(s.targets, func(t *target) bool { return slices.Contains(own, t) })
		s.mu.Unlock()
		close(done)
		<-ended
	}), nil
}

// Flush implements bus.Conn. What is delayed on its way has left the connection.
func (c *Conn) Flush(ctx context.Context) error {
	c.server.mu.Lock()
	up, ended := c.up, c.ended
	c.server.mu.Unlock()
	if ended {
		return bus.ErrClosed
	}
	select {
	case <-c.closed:
		return bus.ErrClosed
	case <-up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
