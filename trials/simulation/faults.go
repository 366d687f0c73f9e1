package simulation

import (
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// faults draws what goes wrong, and after which event.
type faults struct {
	w      *world
	left   int
	seen   int
	due    int           // number of the event after which the next comes
	active int           // that last
	quiet  time.Duration // when the last one ended; of a computation that hangs for ever, when that was noticed
}

// plan draws how much goes wrong.
func (f *faults) plan() {
	f.w.calm = f.w.rng.IntN(5) == 0
	f.left = f.w.rng.IntN(12)
	f.draw()
}

// draw finds the place of the next fault: anywhere, or soon after the last one, in
// the midst of the recovery from it.
func (f *faults) draw() {
	gap := f.w.rng.IntN(350)
	if f.w.chance(3) {
		gap = f.w.rng.IntN(40)
	}
	f.due = f.w.events + gap
}

// over reports whether nothing goes wrong any more.
func (f *faults) over() bool { return f.left == 0 && f.active == 0 }

// occur lets a fault happen if one is due.
func (f *faults) occur() {
	if f.left == 0 || f.w.events < f.due {
		return
	}
	f.left--
	f.seen++
	f.quiet = f.w.now
	if f.w.calm {
		f.request()
	} else {
		f.strike()
	}
	f.draw()
}

// lasts lets something be for a while.
func (f *faults) lasts(d time.Duration, end func()) {
	f.active++
	f.w.at(f.w.now+d, func() {
		end()
		f.active--
		f.quiet = f.w.now
	})
}

func (f *faults) duration(most time.Duration) time.Duration {
	return f.w.between(20*time.Millisecond, most)
}

// running draws one of some processes that run, or nil.
func (f *faults) running(of []*process) *process {
	var up []*process
	for _, p := range of {
		if p.up() {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[f.w.rng.IntN(len(up))]
}

// anyone draws a process: a worker, more often than not.
func (f *faults) anyone() *process {
	if f.w.chance(3) {
		return f.running(f.w.parent.services)
	}
	return f.running(f.w.parent.workers)
}

// request is what a user may do.
func (f *faults) request() {
	u := f.w.parent
	switch f.w.rng.IntN(7) {
	case 0, 1: // one more comes
		for _, p := range u.workers {
			if !p.up() && !u.starting[p] {
				u.start(p, 0)
				return
			}
		}
	case 2:
		if p := f.running(u.workers); p != nil {
			f.control(wire.Control{Verb: wire.VerbDrain, Worker: p.name})
		}
	case 3:
		if p := f.running(u.workers); p != nil {
			f.w.say("%s gets SIGTERM", p.name)
			p.role.(*worker).sigterm()
		}
	case 4:
		n := f.w.setup
		f.control(wire.Control{Verb: wire.VerbScale, Count: n.least + f.w.rng.IntN(n.workers-n.least+1)})
	case 5:
		f.slow()
	case 6:
		if !f.w.calm {
			f.control(wire.Control{Verb: wire.VerbStop})
		}
	}
}

func (f *faults) control(c wire.Control) {
	u := f.w.parent
	f.w.say("asked: %s %s %d", c.Verb, c.Worker, c.Count)
	u.p.ask(topicControl, "", c, time.Second, func(_ any, err error) {
		f.w.say("the answer to %s %s: %v", c.Verb, c.Worker, err)
	})
}

func (f *faults) slow() {
	if p := f.running(f.w.parent.workers); p != nil {
		f.w.say("%s is slow", p.name)
		p.slow = 2 + f.w.rng.IntN(12)
		f.lasts(f.duration(8*time.Second), func() { p.slow = 1 })
	}
}

// strike is a fault.
func (f *faults) strike() {
	w, u := f.w, f.w.parent
	fault := w.rng.IntN(21)
	if w.bug == WaitForPrevious && w.chance(2) {
		fault = 15 // the only one that shows it
	}
	switch fault {
	case 0, 1, 2:
		if p := f.running(u.workers); p != nil {
			u.crash(p, w.chance(4))
		}
	case 3, 4:
		if p := f.running(u.services); p != nil {
			u.crash(p, w.chance(4))
		}
	case 5:
		for _, p := range u.workers {
			if w.chance(2) {
				u.crash(p, false)
			}
		}
	case 6:
		f.everything()
	case 7, 8:
		if p := f.anyone(); p != nil {
			p.freeze()
			life := p.life
			f.lasts(f.duration(9*time.Second), func() {
				if p.life == life {
					p.wake()
				}
			})
		}
	case 9, 10:
		f.partition()
	case 11:
		if p := f.anyone(); p != nil {
			w.say("the connection of %s breaks", p.name)
			w.broker.breakOff(p)
		}
	case 12:
		if p := f.anyone(); p != nil && !p.cut {
			w.say("%s does not reach etcd", p.name)
			p.cut, p.harmed = true, true
			f.lasts(f.duration(9*time.Second), func() { p.cut = false })
		}
	case 13:
		if !w.store.down {
			d, s := f.duration(6*time.Second), w.store
			s.outage(d)
			f.lasts(d+time.Millisecond, func() { w.store.down = false })
		}
	case 14:
		f.brokerAway(f.duration(3 * time.Second))
	case 15:
		f.part()
	case 16:
		f.expire()
	case 17:
		f.hang()
	default:
		f.request()
	}
}

// hang lets a computation stand still: for a while, or for ever.
func (f *faults) hang() {
	p := f.running(f.w.parent.workers)
	if p == nil {
		return
	}
	p.hang()
	if f.w.chance(2) {
		return
	}
	life := p.life
	f.lasts(f.duration(15*time.Second), func() {
		if p.life == life {
			p.release()
		}
	})
}
