package simulation

import (
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/internal/wire"
)

// link is a process's end of the ring of one generation, as allreduce.Link is: frames
// go to the next rank and come from the previous one, and it is seen what becomes
// of both.
type link struct {
	p          *process
	generation uint64
	rank       int
	members    []wire.Member
	user       linkUser
	via        bool   // through NATS
	lives      [2]int // of the neighbours' processes, when they were reached
	joined     bool   // both neighbours are there
	closed     bool
	dead       bool // it was broken off, and the neighbours know
	lost       *neighbour.Tracker
	inbox      []frame
}

// linkUser is told what happens on a link.
type linkUser interface {
	// connected comes once: both neighbours are there.
	connected()
	// arrived comes for each frame in the inbox.
	arrived()
	// parted comes once for each neighbour that is gone.
	parted()
}

type frame struct{ header, payload []byte }

var sides = [2]neighbour.Side{neighbour.Previous, neighbour.Next}

// openLink begins to connect a rank with its neighbours, straight or through NATS. It
// is the newest end of the process from now on.
func (p *process) openLink(generation uint64, rank int, members []wire.Member, via bool, user linkUser) *link {
	l := &link{p: p, generation: generation, rank: rank, members: members, via: via, user: user, lost: neighbour.New()}
	p.link = l
	switch {
	case l.world() == 1:
		l.joined = true
	case via:
		p.after(0, l.greet)
	default:
		for _, side := range sides {
			l.dial(side)
			l.ping(side, 0)
		}
	}
	return l
}

func (l *link) world() int { return len(l.members) }

// neighbour is the rank on one side.
func (l *link) neighbour(side neighbour.Side) int {
	place := allreduce.Place{Rank: l.rank, World: l.world()}
	if side == neighbour.Next {
		return place.Next()
	}
	return place.Previous()
}

// peer is the process of the neighbour.
func (l *link) peer(side neighbour.Side) *process {
	return l.p.w.process(l.members[l.neighbour(side)].ID)
}

// far reports whether the neighbour's end of the same ring is there.
func (l *link) far(side neighbour.Side) bool {
	p := l.peer(side)
	if p == nil || !p.up() || p.link == nil || p.link.closed {
		return false
	}
	f := p.link
	return f.generation == l.generation && f.members[f.rank].Incarnation == l.members[l.neighbour(side)].Incarnation
}

// dial reaches for a neighbour's mailbox. The process that is frozen does not
// answer; where there is none, that is seen at once.
func (l *link) dial(side neighbour.Side) {
	l.p.after(l.p.w.between(200*time.Microsecond, 4*time.Millisecond), func() {
		p := l.peer(side)
		switch {
		case l.closed || l.dead:
		case p == nil || !p.up():
			l.lose(side, gone(l.neighbour(side), "connection refused").Err())
		default:
			l.lives[side] = p.life
			l.greet()
		}
	})
}

// greet finds out whether both neighbours are in this generation.
func (l *link) greet() {
	if l.closed || l.dead || l.joined {
		return
	}
	here := true
	for _, side := range sides {
		p := l.peer(side)
		if (p == nil || !p.up()) && !l.via {
			l.lose(side, gone(l.neighbour(side), "connection closed").Err())
			return
		}
		here = here && l.far(side) && !p.frozen && l.open(l.p, p) && l.open(p, l.p)
	}
	if !here {
		l.p.after(5*time.Millisecond, l.greet)
		return
	}
	l.joined = true
	l.user.connected()
}

// line is the stream from one worker's process to another's.
func (w *world) line(from, to *process) *pipe {
	key := [2]*process{from, to}
	l := w.lines[key]
	if l == nil {
		l = &pipe{w: w}
		w.lines[key] = l
	}
	return l
}

// open reports whether what one process sends comes to the other now.
func (l *link) open(from, to *process) bool {
	if l.via {
		return from.conn.up && to.conn.up && !from.conn.out.stalled && !to.conn.in.stalled
	}
	return !l.p.w.line(from, to).stalled
}

// carry brings something to a neighbour: over the stream to its mailbox, or by NATS.
func (l *link) carry(to *process, deliver func()) {
	w := l.p.w
	switch {
	case !l.via:
		w.line(l.p, to).send(hop(w)+l.p.trip()+to.trip(), deliver)
	case l.p.conn.up:
		l.p.conn.out.send(hop(w)+l.p.trip(), func() {
			if to.up() && to.conn.up {
				to.conn.in.send(hop(w)+to.trip(), deliver)
			}
		})
	}
}

// send brings a frame to the next rank's mailbox. Subjects hold the generation: one
// of another generation finds nobody. So that what reads frames is tested as well,
// the newest end gets those of older rings, too.
func (l *link) send(f frame) {
	to := l.peer(neighbour.Next)
	if to == nil {
		return
	}
	life, generation := to.life, l.generation
	l.carry(to, func() {
		to.do(life, func() {
			if end := to.link; end != nil && !end.closed && generation <= end.generation {
				end.inbox = append(end.inbox, f)
				end.user.arrived()
			}
		})
	})
}

// take returns the oldest frame in the inbox, if there is one.
func (l *link) take() (f frame, ok bool) {
	if len(l.inbox) == 0 {
		return f, false
	}
	f, l.inbox = l.inbox[0], l.inbox[1:]
	return f, true
}
