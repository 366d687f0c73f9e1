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
	// mailboxTimeout bounds one attempt to reach a mailbox. TCP repeats the first packet of
	// a connection after a second: one lost packet does not mean that the network is cut.
	mailboxTimeout = 2 * time.Second
	// answerWait is how long a worker waits for missing answers. An answer takes an attempt
	// of the other worker, and then one of its own.
	answerWait = 5 * time.Second
	// maxAnswers is how many workers may answer at once: all workers do.
	maxAnswers = 4096
)

// ReachabilityProbe finds out whether workers reach each other's mailboxes. Each worker
// answers before it registers, and asks the registered workers after: of any two, one
// tests both directions.
type ReachabilityProbe struct {
	run, secret, own string
	dial             natslink.Dial
	conn             bus.Conn
	log              *zap.Logger
	stop             func() // ends the subscription
	ctx              context.Context
	cancel           context.CancelFunc
	answers          sync.WaitGroup
}

// NewReachabilityProbe begins to answer other workers. Close ends it.
func NewReachabilityProbe(conn bus.Conn, run string, own *natslink.Mailbox, secret string, log *zap.Logger) (*ReachabilityProbe, error) {
	a := &ReachabilityProbe{run: run, secret: secret, own: own.URL(), dial: own.Dial(), conn: conn, log: log}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	var err error
	a.stop, err = bus.Subscribe(conn, wire.SubjectsOf(run).MailboxProbe(), func(m *bus.Message) {
		a.answers.Go(func() { a.answer(m) })
	})
	if err == nil {
		err = conn.Flush(a.ctx)
	}
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("answer probes of mailboxes: %w", err)
	}
	return a, nil
}

// Close ends the answers. Workers that ask later do not count this one.
func (p *ReachabilityProbe) Close() {
	if p.stop != nil {
		p.stop()
	}
	p.cancel()
	p.answers.Wait()
}

// tryMailbox tries to connect to a mailbox.
func (p *ReachabilityProbe) tryMailbox(url string) error {
	ctx, cancel := context.WithTimeout(p.ctx, mailboxTimeout)
	defer cancel()
	return natslink.Probe(ctx, url, p.secret, p.dial)
}

func (p *ReachabilityProbe) answer(m *bus.Message) {
	var probe wire.MailboxProbe
	if err := wire.Decode(m.Data, &probe); err != nil || probe.Mailbox == p.own {
		return // this worker's own request comes here, too
	}
	reply := wire.ProbeAnswer{Mailbox: p.own}
	if err := p.tryMailbox(probe.Mailbox); p.ctx.Err() != nil {
		return // the attempt was cancelled, which means nothing
	} else if err != nil {
		reply.Error = err.Error()
	}
	b, err := wire.Encode(reply)
	if err == nil {
		err = m.Respond(bus.Message{Data: b})
	}
	if err != nil {
		p.log.Debug("answer a probe of mailboxes", zap.Error(err))
	}
}

// Route asks the workers of the given mailboxes, and returns wire.RingBroker if one of
// them does not reach this worker, or this worker does not reach it, and "" otherwise. It
// returns when all have answered, except workers that gone names. A worker that does not
// answer in time does not count. gone may be nil.
func (p *ReachabilityProbe) Route(ctx context.Context, mailboxes []string, gone <-chan string) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("probe the mailboxes of the others: %w", err) }
	missing := map[string]bool{}
	for _, url := range mailboxes {
		missing[url] = true
	}
	delete(missing, p.own)
	if len(missing) == 0 {
		return "", nil
	}
	replies, stop, err := bus.Gather(p.conn, maxAnswers, wire.SubjectsOf(p.run).MailboxProbe(), wire.MailboxProbe{Mailbox: p.own})
	if err != nil {
		return fail(err)
	}
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var attempts sync.WaitGroup
	defer attempts.Wait()
	unreachable := make(chan error, 1)
	report := func(err error) {
		select {
		case unreachable <- err:
			cancel() // one failure is enough
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
		var other wire.ProbeAnswer
		switch {
		case m == nil || wire.Decode(m.Data, &other) != nil || !missing[other.Mailbox]:
			continue
		case other.Error != "":
			report(fmt.Errorf("of %s: %s", other.Mailbox, other.Error))
		default:
			attempts.Go(func() {
				if err := p.tryMailbox(other.Mailbox); err != nil {
					report(err)
				}
			})
		}
		delete(missing, other.Mailbox)
	}
	attempts.Wait()
	select {
	case err := <-unreachable:
		p.log.Warn("workers do not reach each other: the ring goes through NATS", zap.Error(err))
		return wire.RingBroker, nil
	default:
		return "", nil
	}
}
