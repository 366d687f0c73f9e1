package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// dialMailbox bounds one attempt to reach a mailbox. TCP sends the first packet of a
	// connection again after a second: that it was lost is no sign of a way that is cut.
	dialMailbox = 2 * time.Second
	// meetFor is how long a worker waits for those who do not answer. An answer
	// takes an attempt of the other, and then one of its own.
	meetFor = 5 * time.Second
	// mostWorkers is how many may answer at once: all do, whoever is asked.
	mostWorkers = 4096
)

// Acquaintance lets workers find out whether they reach each other's mailboxes.
// Each asks those that are registered when it has registered itself, and answers
// from before that: of any two, one tries both directions.
type Acquaintance struct {
	run, secret, own string
	dial             natslink.Dial
	conn             bus.Conn
	log              *zap.Logger
	stop             func() // ends the subscription
	ctx              context.Context
	cancel           context.CancelFunc
	answers          sync.WaitGroup
}

// Acquaint begins to answer others. Close ends it.
func Acquaint(conn bus.Conn, run string, own *natslink.Mailbox, secret string, log *zap.Logger) (*Acquaintance, error) {
	a := &Acquaintance{run: run, secret: secret, own: own.URL(), dial: own.Dial(), conn: conn, log: log}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	var err error
	a.stop, err = bus.Subscribe(conn, wire.SubjectsOf(run).Reach(), func(m *bus.Message) {
		a.answers.Go(func() { a.answer(m) })
	})
	if err == nil {
		err = conn.Flush(a.ctx)
	}
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("answer who asks for mailboxes: %w", err)
	}
	return a, nil
}

// Close ends the answers. Who is not answered any more does not count this worker.
func (a *Acquaintance) Close() {
	if a.stop != nil {
		a.stop()
	}
	a.cancel()
	a.answers.Wait()
}

// reach tries a mailbox.
func (a *Acquaintance) reach(url string) error {
	ctx, cancel := context.WithTimeout(a.ctx, dialMailbox)
	defer cancel()
	return natslink.Probe(ctx, url, a.secret, a.dial)
}

func (a *Acquaintance) answer(m *bus.Message) {
	var q wire.Reach
	if err := wire.Decode(m.Data, &q); err != nil || q.Mailbox == a.own {
		return // its own question comes here, too
	}
	reply := wire.Reached{Mailbox: a.own}
	if err := a.reach(q.Mailbox); a.ctx.Err() != nil {
		return // the attempt was given up, which says nothing
	} else if err != nil {
		reply.Error = err.Error()
	}
	b, err := wire.Encode(reply)
	if err == nil {
		err = m.Respond(bus.Message{Data: b})
	}
	if err != nil {
		a.log.Debug("answer who asks for mailboxes", zap.Error(err))
	}
}

// Way asks the workers whose mailboxes are named, and returns wire.RingBroker if one
// of them does not reach this one, or this one it, and "" otherwise. It returns when
// all have answered but those of which gone says that they are no more; who does not
// in time does not count either. A nil gone says nothing.
func (a *Acquaintance) Way(ctx context.Context, mailboxes []string, gone <-chan string) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("ask the others for their mailboxes: %w", err) }
	missing := map[string]bool{}
	for _, url := range mailboxes {
		missing[url] = true
	}
	delete(missing, a.own)
	if len(missing) == 0 {
		return "", nil
	}
	replies, stop, err := bus.Gather(a.conn, mostWorkers, wire.SubjectsOf(a.run).Reach(), wire.Reach{Mailbox: a.own})
	if err != nil {
		return fail(err)
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, meetFor)
	defer cancel()
	var tries sync.WaitGroup
	defer tries.Wait()
	apart := make(chan error, 1)
	tell := func(err error) {
		select {
		case apart <- err:
			cancel() // one is enough
		default:
		}
	}
	for ctx.Err() == nil && len(missing) > 0 {
		var m *bus.Message
		select {
		case m = <-replies:
		case url := <-gone:
			delete(missing, url)
			continue
		case <-ctx.Done():
			continue
		}
		var other wire.Reached
		switch {
		case m == nil || wire.Decode(m.Data, &other) != nil || !missing[other.Mailbox]:
			continue
		case other.Error != "":
			tell(fmt.Errorf("of %s: %s", other.Mailbox, other.Error))
		default:
			tries.Go(func() {
				if err := a.reach(other.Mailbox); err != nil {
					tell(err)
				}
			})
		}
		delete(missing, other.Mailbox)
	}
	tries.Wait()
	select {
	case err := <-apart:
		a.log.Warn("workers do not reach each other: the ring goes through NATS", zap.Error(err))
		return wire.RingBroker, nil
	default:
		return "", nil
	}
}
