// Package natsbus is a bus over NATS. Interruptions, buffers and limits are those
// that its connection to NATS was made with.
package natsbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/internal/bus"
)

// flushWithin bounds a Flush whose context has no deadline.
const flushWithin = 10 * time.Second

// Conn is a bus.Conn over NATS.
type Conn struct {
	nats    *nats.Conn
	closed  chan struct{}
	close   func()
	mu      sync.Mutex // held while a subscription begins
	running sync.WaitGroup
}

// New makes a bus of a connection, which it owns from then on.
func New(c *nats.Conn) *Conn {
	closed := make(chan struct{})
	return &Conn{nats: c, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Close ends the connection and its subscriptions, and returns when no handler runs.
func (c *Conn) Close() {
	c.mu.Lock()
	c.close()
	c.mu.Unlock()
	c.nats.Close()
	c.running.Wait()
}

// LocalAddr is the address of this end of the connection.
func (c *Conn) LocalAddr() string { return c.nats.LocalAddr() }

// MaxPayload is how many bytes of data the server takes in one message.
func (c *Conn) MaxPayload() int64 { return c.nats.MaxPayload() }

// Connected implements bus.Conn.
func (c *Conn) Connected() bool { return c.nats.IsConnected() }

// Reconnects implements bus.Conn.
func (c *Conn) Reconnects() uint64 { return c.nats.Stats().Reconnects }

// Publish implements bus.Conn.
func (c *Conn) Publish(m bus.Message) error { return translated(c.nats.PublishMsg(outgoing(m))) }

// Request implements bus.Conn.
func (c *Conn) Request(ctx context.Context, m bus.Message) (*bus.Message, error) {
	answer, err := c.nats.RequestMsgWithContext(ctx, outgoing(m))
	if err != nil {
		return nil, translated(err)
	}
	return c.incoming(answer), nil
}

// Flush implements bus.Conn.
func (c *Conn) Flush(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded { // the client of NATS demands one
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flushWithin)
		defer cancel()
	}
	return translated(c.nats.FlushWithContext(ctx))
}

// Subscribe implements bus.Conn. Messages of all subjects share one channel, into which
// the client of NATS puts what comes as long as there is room.
func (c *Conn) Subscribe(s bus.Subscription) (stop func(), err error) {
	came := make(chan *nats.Msg, s.Bound())
	var subs []*nats.Subscription
	unsubscribe := func() {
		for _, sub := range subs {
			_ = sub.Unsubscribe() // fails only where the connection is closed
		}
	}
	handlers := map[*nats.Subscription]func(*bus.Message){}
	for subject, handle := range s.Handlers {
		sub, err := c.nats.ChanQueueSubscribe(subject, s.Queue, came)
		if err != nil {
			unsubscribe()
			return nil, fmt.Errorf("subscribe %s: %w", subject, translated(err))
		}
		subs = append(subs, sub)
		handlers[sub] = handle
	}
	ended, done := make(chan struct{}), make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		unsubscribe()
		return nil, bus.ErrClosed
	default:
	}
	c.running.Go(func() { // joined by stop, and by Close
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-c.closed:
				return
			case m := <-came:
				handlers[m.Sub](c.incoming(m))
			}
		}
	})
	return sync.OnceFunc(func() { unsubscribe(); close(done); <-ended }), nil
}

func outgoing(m bus.Message) *nats.Msg {
	out := &nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data}
	for key, value := range m.Header {
		if out.Header == nil {
			out.Header = nats.Header{}
		}
		out.Header[key] = []string{value}
	}
	return out
}

func (c *Conn) incoming(m *nats.Msg) *bus.Message {
	in := &bus.Message{Subject: m.Subject, Reply: m.Reply, Data: m.Data, Via: c}
	for key, values := range m.Header {
		if in.Header == nil {
			in.Header = map[string]string{}
		}
		in.Header[key] = values[0]
	}
	return in
}

// translated gives the errors of NATS the names that package bus has for them.
func translated(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return bus.ErrNoResponders
	case errors.Is(err, nats.ErrConnectionClosed):
		return bus.ErrClosed
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return bus.ErrBufferFull
	}
	return err
}
