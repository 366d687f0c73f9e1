package simulation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gramme-project/gramme/allreduce"
)

// How the end of a ring becomes known.

// gone says that a rank is not there any more, left that it lives and has left the
// ring.
func gone(rank int, why string) *allreduce.PeerError {
	return &allreduce.PeerError{Rank: rank, Err: because(allreduce.ErrLost, why)}
}

func left(rank int, why string) *allreduce.PeerError {
	return &allreduce.PeerError{Rank: rank, Err: because(allreduce.ErrLeft, why)}
}

func because(kind error, why string) error {
	if why = strings.TrimPrefix(strings.TrimPrefix(why, kind.Error()), ": "); why == "" {
		return kind
	}
	return fmt.Errorf("%w: %s", kind, why)
}

// notify tells the neighbours that this rank leaves, and who is to blame.
func (l *link) notify(blame *allreduce.PeerError) {
	if l.world() == 1 {
		return
	}
	for side := range 2 {
		to := l.peer(side)
		if to == nil {
			continue
		}
		life, generation, rank := to.life, l.generation, l.rank
		l.carry(to, func() {
			to.do(life, func() {
				if end := to.link; end != nil && end.generation == generation {
					end.hear(rank, blame)
				}
			})
		})
	}
}

// hear takes the farewell of a neighbour.
func (l *link) hear(rank int, blame *allreduce.PeerError) {
	for side := range 2 {
		if l.neighbour(side) == rank {
			l.lose(side, blame)
		}
	}
}

// lose records that a neighbour is gone or has left.
func (l *link) lose(side int, blame *allreduce.PeerError) {
	if l.closed || l.dead || l.lost[side] != nil {
		return
	}
	l.lost[side] = blame
	l.user.parted()
}

// starved says why no frame comes any more: the previous neighbour is gone, or the
// next is lost.
func (l *link) starved() *allreduce.PeerError {
	if l.lost[previous] == nil && l.lost[next] != nil && errors.Is(l.lost[next], allreduce.ErrLost) && l.p.w.bug != WaitForPrevious {
		return l.lost[next]
	}
	return l.lost[previous]
}

// abort breaks the ring off. The loss of another rank is passed on as that rank's;
// anything else is this rank's own, that another is silent included.
func (l *link) abort(reason error) {
	if l.closed || l.dead {
		return
	}
	l.dead = true
	var peer *allreduce.PeerError
	silent := errors.Is(reason, allreduce.ErrSilent)
	if silent && l.p.w.bug == SilenceCountsTwice && errors.As(reason, &peer) {
		l.notify(gone(peer.Rank, "nothing comes from it"))
		return
	}
	if errors.As(reason, &peer) && !silent && (errors.Is(peer.Err, allreduce.ErrLost) || errors.Is(peer.Err, allreduce.ErrLeft)) {
		l.notify(peer)
		return
	}
	l.notify(left(l.rank, reason.Error()))
}

// leave closes this end in good order.
func (l *link) leave() {
	if l.closed {
		return
	}
	l.closed = true
	if !l.dead {
		l.notify(left(l.rank, ""))
	}
}

// vanish is the end of the process: neighbours see that the connection closed,
// unless its host went as well.
func (l *link) vanish() {
	l.closed = true
	switch {
	case l.p.w.silent:
	case l.via:
		l.unsubscribed()
	default:
		l.notify(gone(l.rank, ""))
	}
}
