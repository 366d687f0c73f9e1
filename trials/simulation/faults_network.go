package simulation

import "time"

// partition holds up what a process sends, what it gets, or both. In the end it
// arrives, or the connection breaks.
func (f *faults) partition() {
	p := f.anyone()
	if p == nil || p.conn.in.stalled || p.conn.out.stalled {
		return
	}
	way := f.w.rng.IntN(3)
	f.w.say("%s is cut off (%d)", p.name, way)
	p.harmed, p.deaf = true, true
	p.conn.in.stalled, p.conn.out.stalled = way != 1, way != 2
	breaks := f.w.chance(2)
	f.lasts(f.duration(5*time.Second), func() {
		f.w.say("%s is reached again", p.name)
		if breaks {
			f.w.broker.breakOff(p)
		}
		p.conn.in.heal()
		p.conn.out.heal()
	})
}

// brokerAway takes NATS away for a while.
func (f *faults) brokerAway(d time.Duration) {
	b := f.w.broker
	if b.down {
		return
	}
	f.w.say("NATS is away")
	b.down = true
	for _, p := range f.w.processes {
		b.breakOff(p)
	}
	f.lasts(d, func() {
		f.w.say("NATS is back")
		b.down = false
	})
}

// part cuts the way between the mailboxes of two workers, or one direction of it, while
// both are in touch with everybody else: nobody has a reason to let either go. Some
// stay cut: the ring finds another way.
func (f *faults) part() {
	from, to := f.running(f.w.parent.workers), f.running(f.w.parent.workers)
	if from == nil || from == to {
		return
	}
	ways := []*pipe{f.w.line(from, to)}
	if f.w.chance(2) {
		ways = append(ways, f.w.line(to, from))
	}
	if ways[0].stalled || ways[len(ways)-1].stalled {
		return
	}
	f.w.say("frames from %s to %s are held up (ways: %d)", from.name, to.name, len(ways))
	for _, l := range ways {
		l.stalled = true
	}
	if f.w.chance(3) {
		return
	}
	f.lasts(f.duration(12*time.Second), func() {
		f.w.say("frames from %s reach %s", from.name, to.name)
		for _, l := range ways {
			l.heal()
		}
	})
}

// expire ends a lease as etcd may: that of a registration or of the leader.
func (f *faults) expire() {
	s := f.w.store
	if f.w.chance(2) && len(s.workers) > 0 {
		r := s.workers[f.w.rng.IntN(len(s.workers))]
		f.w.say("the lease of %s is lost", r.reg.Incarnation)
		r.lease.p.harmed = true
		s.remove(r)
		return
	}
	if len(s.queue) > 0 {
		f.w.say("the leader's lease is lost")
		s.withdraw(s.queue[0])
	}
}

// everything ends at once and is started from the newest checkpoint.
func (f *faults) everything() {
	empty := f.w.chance(2)
	f.w.say("everything crashes (etcd too: %v)", empty)
	f.w.parent.restartAll(empty)
}
