package shells

import (
	"context"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
	"github.com/gramme-project/gramme/internal/wire"
)

// faults draws what goes wrong, and when.
type faults struct {
	left, seen int
	active     int       // that last
	quiet      time.Time // when the last one ended
}

// gap draws the time until the next fault: soon after the last one, in the midst of the
// recovery from it, or later.
func (f *faults) gap(c *cluster) time.Duration {
	if c.chance(3) {
		return c.between(0, 200*time.Millisecond)
	}
	return c.between(0, 3*time.Second)
}

// over reports whether nothing goes wrong any more.
func (f *faults) over() bool { return f.left == 0 && f.active == 0 }

// occur lets a fault happen.
func (f *faults) occur(c *cluster) {
	if f.left == 0 {
		return
	}
	f.left--
	f.seen++
	f.quiet = time.Now()
	c.strike()
}

// lasts lets something be for a while.
func (c *cluster) lasts(d time.Duration, end func()) {
	c.faults.active++
	c.after(d, func() {
		end()
		c.faults.active--
		c.faults.quiet = time.Now()
	})
}

// life draws one of some processes that run, or nil.
func (c *cluster) lifeOf(of []*process) *life {
	var up []*life
	for _, p := range of {
		if p.life != nil {
			up = append(up, p.life)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[c.rng.IntN(len(up))]
}

// anyone draws a process: a worker, more often than not.
func (c *cluster) anyone() *life {
	if c.chance(3) {
		return c.lifeOf(c.services)
	}
	return c.lifeOf(c.workers)
}

func (c *cluster) duration(most time.Duration) time.Duration {
	return c.between(20*time.Millisecond, most)
}

// strike is a fault.
func (c *cluster) strike() {
	switch c.rng.IntN(24) {
	case 0, 1, 2:
		c.crash(c.lifeOf(c.workers), c.chance(4))
	case 3:
		c.crash(c.services[0].life, false)
	case 4, 5:
		c.crash(c.lifeOf(c.services), c.chance(4))
	case 6:
		for _, p := range c.workers {
			if c.chance(2) {
				c.crash(p.life, false)
			}
		}
	case 7:
		c.restart(c.chance(2))
	case 8, 9:
		c.interrupt()
	case 10:
		if l := c.anyone(); l != nil {
			c.say("messages of %s get lost", l.name())
			c.net.loses(l.p.id, true)
			c.lasts(c.duration(3*time.Second), func() { c.net.loses(l.p.id, false) })
		}
	case 11:
		if l := c.anyone(); l != nil {
			c.say("the link of %s is slow", l.name())
			c.net.slower(l.p.id, c.duration(300*time.Millisecond))
			c.lasts(c.duration(8*time.Second), func() { c.net.slower(l.p.id, 0) })
		}
	case 12:
		if l := c.anyone(); l != nil {
			c.say("%s is cut off", l.name())
			c.bus.Partition(l.p.id)
			c.lasts(c.duration(5*time.Second), func() { c.bus.Partition() })
		}
	case 13:
		if l := c.anyone(); l != nil {
			c.say("%s does not reach the store", l.name())
			restore := l.store.away()
			c.lasts(c.duration(9*time.Second), restore)
		}
	case 14:
		if l := c.anyone(); l != nil {
			c.say("answers of the store to %s get lost", l.name())
			l.store.loseAnswers(1 + c.rng.IntN(3))
		}
	case 15:
		if l := c.lifeOf(c.workers); l != nil {
			c.say("frames of %s are held up", l.name())
			l.hold(c.duration(6 * time.Second))
		}
	case 16:
		if l := c.lifeOf(c.workers); l != nil {
			c.say("a computation of %s hangs", l.name())
			release := l.hang()
			if !c.chance(3) {
				c.lasts(c.duration(15*time.Second), release)
			}
		}
	case 17, 18:
		c.expire()
	default:
		c.request()
	}
}

// expire ends a lease as etcd may: that of a registration or of the leader.
func (c *cluster) expire() {
	id, incarnation := "", ""
	if l := c.lifeOf(c.workers); l != nil && c.chance(2) {
		l.store.note(func() { id, incarnation = l.p.id, l.store.incarnation })
		c.say("the registration of %s is lost", l.name())
	} else {
		c.say("the leader's lease is lost")
	}
	for _, p := range c.services {
		if p.life == nil {
			continue
		}
		if err := p.life.store.expire(id, incarnation); err != nil {
			c.say("%v", err) // it does not lead any more
		}
	}
}

// request is what a user may do.
func (c *cluster) request() {
	switch c.rng.IntN(6) {
	case 0, 1: // one more comes
		for _, p := range c.workers {
			if p.life == nil && !p.starting {
				p.start(0)
				return
			}
		}
	case 2:
		if l := c.lifeOf(c.workers); l != nil {
			c.control(wire.Control{Verb: wire.VerbDrain, Worker: l.p.id})
		}
	case 3:
		if l := c.lifeOf(c.workers); l != nil {
			c.say("%s gets SIGTERM", l.name())
			l.term()
		}
	case 4:
		if l := c.lifeOf(c.workers); l != nil {
			c.say("%s is slow", l.name())
			l.slow(time.Duration(2+c.rng.IntN(12)) * c.setup.compute)
			c.lasts(c.duration(8*time.Second), func() { l.slow(c.setup.compute) })
		}
	case 5:
		c.control(wire.Control{Verb: wire.VerbStop})
	}
}

// control asks the coordinator, and does not wait for the answer.
func (c *cluster) control(request wire.Control) {
	c.say("asked: %s %s", request.Verb, request.Worker)
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := bus.Deliver(ctx, c.up, wire.SubjectsOf(c.spec.Run).Control(), request)
		c.say("the answer to %s: %v", request.Verb, err)
	})
}

// tell reports the end of a process to the coordinator.
func (c *cluster) tell(s wire.Suspicion) {
	if err := bus.Publish(c.up, wire.SubjectsOf(c.spec.Run).Suspect(), s); err != nil {
		c.fail("%v", err)
	}
}

// interrupt takes the connections of a process to the bus away for a while.
func (c *cluster) interrupt() {
	l := c.anyone()
	if l == nil {
		return
	}
	c.say("the connection of %s breaks", l.name())
	restore, bulk := l.conn.Interrupt(), l.bulk.Interrupt()
	c.lasts(c.duration(4*time.Second), func() { restore(); bulk() })
}

// loseUnsynced is what a loss of power does to the disk, or less.
func (c *cluster) loseUnsynced() {
	keep := memfs.KeepAll
	switch c.rng.IntN(3) {
	case 0:
		keep = memfs.KeepNone
	case 1:
		keep = memfs.KeepSome(c.rng.Uint64())
	}
	var err error
	if c.disk, err = c.disk.Crash(keep, c.dir.Checkpoints(), c.dir.Ledger()); err != nil {
		c.fail("the disk after a crash: %v", err)
	}
}

// restart ends everything at once and starts it from the newest checkpoint, with what the
// store holds but for the intent, or with an empty store.
func (c *cluster) restart(empty bool) {
	c.say("everything ends and starts again (empty store: %v)", empty)
	for _, p := range append(append([]*process{}, c.services...), c.workers...) {
		if p.life == nil {
			continue
		}
		p.life.kill(false)
		p.finished = false
		if p.role == wire.RoleCheckpoint {
			c.loseUnsynced()
		}
	}
	if empty {
		c.store, c.emptied = memstore.New(), true
	}
	if err := c.takeStore(); err != nil {
		c.fail("take the run: %v", err)
	}
	for _, p := range c.services {
		p.start(c.between(0, time.Second))
	}
	for _, p := range c.workers[:c.setup.workers] {
		p.start(c.between(0, time.Second))
	}
}

// takeStore does with the store what a start of the run does: the spec is there, and what
// the start before was asked for is not.
func (c *cluster) takeStore() error {
	ctx := context.Background()
	s := c.store.Connect()
	lock, err := s.LockRun(ctx, membership.Holder{Host: "host", Folder: string(c.dir), Boot: "boot", PID: 1}, time.Second)
	if err != nil {
		return err
	}
	if err := lock.Reset(ctx, func(wire.Registration) bool { return true }); err != nil {
		return err
	}
	spec, err := c.spec.Encode()
	if err != nil {
		return err
	}
	if err := lock.ReplaceSpec(ctx, spec); err != nil {
		return err
	}
	return lock.Release(ctx)
}
