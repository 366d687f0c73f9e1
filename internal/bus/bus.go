// Package bus carries messages between the processes of a run: published to all
// that subscribe to a subject, or as a request that one of them answers. natsbus
// carries them over NATS, membus within a process; bustest is the suite that both
// pass.
//
// What every connection guarantees:
//
//   - Order: what one connection publishes under one subject comes to a subscription
//     in that order. Between publishers, and between subjects, there is none.
//   - At most once: a message comes once or not at all, and nobody is told that it was
//     lost. What has to arrive is a request that is repeated until it is answered; the
//     receiver counts it once.
//   - A subscriber that falls behind loses the newest messages: as many as it has room
//     for wait, and the ones that come meanwhile are dropped. No publisher waits for it.
//   - A message comes to those that had subscribed before. After Flush, what is
//     published anywhere comes to the subscriptions made before it.
//   - A request fails at once with ErrNoResponders where nobody subscribes to its
//     subject, as after the end of the process that did. Otherwise it waits until
//     its context ends. The first answer counts.
//   - A connection that is interrupted comes back by itself, with its subscriptions.
//     What it publishes meanwhile waits and is sent then, in order; where too much waits,
//     Publish fails with ErrBufferFull. What others publish meanwhile it never gets. What
//     was published just before the interruption may be lost.
//
// Nothing is stored, and no answer says how many subscribers a message had.
package bus

import (
	"context"
	"errors"
)

var (
	// ErrNoResponders says that nobody subscribes to the subject of a request.
	ErrNoResponders = errors.New("no responders")
	// ErrClosed says that the connection was closed by its owner.
	ErrClosed = errors.New("connection closed")
	// ErrBufferFull says that a message is lost: the connection is interrupted, and
	// too much waits for its return.
	ErrBufferFull = errors.New("connection interrupted, and its buffer full")
)

// Message is what travels. A receiver does not change it: others may have the same.
type Message struct {
	Subject string
	Reply   string // subject of the answer; "": nobody waits for one
	Header  map[string]string
	Data    []byte
	Via     Conn // the connection it came by; of no meaning to Publish
}

// Respond answers a request. Who asks without waiting for an answer gets none.
func (m *Message) Respond(answer Message) error {
	if m.Reply == "" {
		return errors.New("nobody waits for an answer")
	}
	answer.Subject = m.Reply
	return m.Via.Publish(answer)
}

// Conn is a connection. All methods may be called at the same time.
type Conn interface {
	// Publish sends a message to all that subscribe to its subject, and keeps nothing
	// of it after it returns.
	Publish(m Message) error
	// Request sends a message and returns the first answer.
	Request(ctx context.Context, m Message) (*Message, error)
	// Subscribe begins to call handlers. They are called until stop, or until the
	// connection is closed. stop returns when none runs, and must not be called by one.
	Subscribe(s Subscription) (stop func(), err error)
	// Flush returns when all that was published or subscribed before has reached the
	// server.
	Flush(ctx context.Context) error
	// Connected says whether the connection stands, as far as is known.
	Connected() bool
	// Reconnects is how often the connection was interrupted and came back.
	Reconnects() uint64
}

// Subscription says what to receive.
type Subscription struct {
	// Handlers are called with what is published under their subjects, one after
	// another and in the order of arrival. A * in a subject stands for one part
	// between dots, a > at the end for one or more.
	Handlers map[string]func(*Message)
	// Queue names a group, of whose subscribers to a subject one gets each message. "":
	// this one gets all.
	Queue string
	// Pending is how many messages may wait for the handlers. 0: 8192.
	Pending int
}

// Bound is Pending, or its default.
func (s Subscription) Bound() int {
	if s.Pending > 0 {
		return s.Pending
	}
	return 8192
}
