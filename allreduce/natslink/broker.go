package natslink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
)

// probeInterval is how often a link over a broker asks whether its neighbours are
// present: the broker answers for one whose connection is gone.
const probeInterval = 50 * time.Millisecond

// ConnectThroughBroker joins the ring of one generation through the NATS server of conn.
// It returns once both neighbours are present, or with an error when ctx ends. The link uses
// conn and does not close it; conn should not be that of the control plane. An interruption
// of conn ends the link even if it reconnects: frames may have been lost.
func ConnectThroughBroker(ctx context.Context, conn *nats.Conn, s Session) (allreduce.Link, error) {
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("connect ring: %w", err)
	}
	l := newLink(s)
	l.own, l.memory.why = conn, errors.New("the ring goes through a broker")
	for _, s := range l.sides {
		s.conn = conn
	}
	status := conn.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	l.running.Go(func() { l.watchStatus(status) })
	l.release = func() {
		conn.RemoveStatusListener(status)
		for _, sub := range l.subs {
			_ = sub.Unsubscribe() // fails only if the connection is closed
		}
	}
	err := l.subscribe()
	if err == nil {
		err = l.waitForNeighbours(ctx)
	}
	if err != nil {
		l.Abort(err)
		return nil, fmt.Errorf("connect ring of generation %d over %s: %w", s.Generation, conn.ConnectedUrlRedacted(), err)
	}
	for _, s := range l.sides {
		l.running.Go(func() { l.probe(s) })
	}
	return l, nil
}

// watchStatus ends the link when its connection is interrupted.
func (l *link) watchStatus(status <-chan nats.Status) {
	select {
	case <-status:
		l.loseOwnConnection("to the broker")
	case <-l.closed:
	}
}

// probe asks one neighbour regularly whether it is present. No answer means nothing: it
// may be busy, or frozen. "No responders" means that its connection is gone.
func (l *link) probe(s *side) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.lost.Gone(s.side):
			return
		case <-l.closed:
			return
		}
		_, err := s.conn.Request(l.session.subject(s.rank, kindHello), nil, probeInterval)
		if errors.Is(err, nats.ErrNoResponders) {
			l.loseConnection(s.side, errors.New("it left the broker"))
			return
		}
	}
}
