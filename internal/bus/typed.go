package bus

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/gramme-project/gramme/internal/wire"
)

// RefusedError is an answer that gives a reason in place of a result.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// encode turns a message into bytes; nil is an empty one.
func encode(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	return wire.Encode(v)
}

// Publish sends a value to all that subscribe to a subject. A nil value is an empty
// message.
func Publish(c Conn, subject string, v any) error {
	b, err := encode(v)
	if err == nil {
		err = c.Publish(Message{Subject: subject, Data: b})
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	return nil
}

// Request sends a value and returns the result in the wire.Reply that answers it.
// A refusal is a RefusedError.
func Request[T any](ctx context.Context, c Conn, subject string, v any) (result T, err error) {
	err = request(ctx, c, subject, v, &result)
	return result, err
}

// Deliver sends a value once and waits for the wire.Reply that acknowledges it: to send it
// again is the caller's. A refusal is a RefusedError.
func Deliver(ctx context.Context, c Conn, subject string, v any) error {
	return request(ctx, c, subject, v, nil)
}

func request(ctx context.Context, c Conn, subject string, v, result any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	answer, err := c.Request(ctx, Message{Subject: subject, Data: b})
	if err != nil {
		return fmt.Errorf("request %s: %w", subject, err)
	}
	return ReadReply(answer, result)
}

// ReadReply reads the result in an answer, or only that there is no refusal if result
// is nil.
func ReadReply(answer *Message, result any) error {
	var reply wire.Reply
	err := wire.Decode(answer.Data, &reply)
	if err == nil && reply.Error != "" {
		return &RefusedError{reply.Error}
	}
	if err == nil && result != nil {
		err = wire.Decode(reply.Result, result)
	}
	if err != nil {
		return fmt.Errorf("read reply: %w", err)
	}
	return nil
}

// Respond answers a request with a wire.Reply: of the failure, if there is one, or the
// result. A nil result acknowledges.
func Respond(request *Message, result any, failure error) error {
	var reply wire.Reply
	if failure == nil {
		reply.Result, failure = encode(result)
	}
	if failure != nil {
		reply = wire.Reply{Error: failure.Error()}
	}
	b, err := wire.Encode(reply)
	if err == nil {
		err = request.Respond(Message{Data: b})
	}
	if err != nil {
		return fmt.Errorf("answer %s: %w", request.Subject, err)
	}
	return nil
}

// Subscribe calls a handler with what is published under a subject.
func Subscribe(c Conn, subject string, handle func(*Message)) (stop func(), err error) {
	return c.Subscribe(Subscription{Handlers: map[string]func(*Message){subject: handle}})
}

// Channel subscribes to subjects and hands over what comes by a channel, in the order
// of arrival. At most pending messages wait in the channel; what comes meanwhile is lost.
func Channel(c Conn, pending int, queue string, subjects ...string) (messages <-chan *Message, stop func(), err error) {
	to := make(chan *Message, pending)
	s := Subscription{Handlers: map[string]func(*Message){}, Queue: queue, Pending: pending}
	for _, subject := range subjects {
		s.Handlers[subject] = func(m *Message) {
			select {
			case to <- m:
			default: // nobody reads: Close must not wait for it
			}
		}
	}
	stop, err = c.Subscribe(s)
	return to, stop, err
}

// Gather asks all that subscribe to a subject, and hands over their answers until
// stop, the first pending of them in any case.
func Gather(c Conn, pending int, subject string, v any) (answers <-chan *Message, stop func(), err error) {
	inbox := "_INBOX." + rand.Text()
	b, err := encode(v)
	if err != nil {
		return nil, nil, err
	}
	answers, stop, err = Channel(c, pending, "", inbox)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Publish(Message{Subject: subject, Reply: inbox, Data: b}); err != nil {
		stop()
		return nil, nil, err
	}
	return answers, stop, nil
}
