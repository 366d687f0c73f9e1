package simulation

import (
	"errors"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
)

// How the end of a ring becomes known.

// gone is the notice that a rank is not there any more.
func gone(rank int, why string) neighbour.LeaveNotice {
	return neighbour.LeaveNotice{Rank: rank, Lost: true, Text: why}
}

// notify tells the neighbours that this rank leaves, and why.
func (l *link) notify(notice neighbour.LeaveNotice) {
	if l.world() == 1 {
		return
	}
	for _, side := range sides {
		to := l.peer(side)
		if to == nil {
			continue
		}
		life, generation, rank := to.life, l.generation, l.rank
		l.carry(to, func() {
			to.do(life, func() {
				if end := to.link; end != nil && end.generation == generation {
					end.noticed(rank, notice)
				}
			})
		})
	}
}

// noticed takes the notice of a neighbour that leaves.
func (l *link) noticed(rank int, notice neighbour.LeaveNotice) {
	for _, side := range sides {
		if l.neighbour(side) == rank {
			l.lose(side, notice.Err())
		}
	}
}

// lose records that a neighbour is gone or has left.
func (l *link) lose(side neighbour.Side, err error) {
	if l.closed || l.dead || l.lost.Err(side) != nil {
		return
	}
	l.lost.MarkLost(side, err)
	l.user.parted()
}

// starved says why no frame comes any more, nil while one may.
func (l *link) starved() error {
	if l.p.w.bug == WaitForPrevious {
		return l.lost.Err(neighbour.Previous)
	}
	return l.lost.NoMoreFramesErr()
}

// abort breaks the ring off.
func (l *link) abort(reason error) {
	if l.closed || l.dead {
		return
	}
	l.dead = true
	notice := neighbour.NewLeaveNotice(l.rank, reason)
	if peer := (*allreduce.PeerError)(nil); l.p.w.bug == SilenceCountsTwice && errors.Is(reason, allreduce.ErrSilent) && errors.As(reason, &peer) {
		notice = gone(peer.Rank, "nothing comes from it")
	}
	l.notify(notice)
}

// leave closes this end in good order.
func (l *link) leave() {
	if l.closed {
		return
	}
	l.closed = true
	if !l.dead {
		l.notify(neighbour.NewLeaveNotice(l.rank, nil))
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
