package simulation

import (
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// loop is the goroutine that owns a worker's state machine: one thing at a time,
// and nothing while it waits for etcd or for a link to close.
type loop struct {
	k       *worker
	waiting []func() // what comes next
	pending []any    // events and effects of what it is at, in order
	blocked bool
	running bool
	ticked  bool // a tick waits
}

// do lets the loop do something when it comes to it.
func (l *loop) do(what func()) {
	l.waiting = append(l.waiting, what)
	l.run()
}

// tick comes regularly; there is never more than one in the queue.
func (l *loop) tick() {
	if l.ticked {
		return
	}
	l.ticked = true
	l.do(func() {
		l.ticked = false
		l.k.beat()
		l.k.ReleaseUnused(l.k.w.time().Add(-5 * failureTimeout))
		l.handle(step.Tick{})
	})
}

// handle gives an event to the machine, then carries out what follows.
func (l *loop) handle(e step.Event) {
	l.pending = append(l.pending, e)
}

// block stops the loop until the returned function is called.
func (l *loop) block() (unblock func()) {
	l.blocked = true
	return func() {
		l.blocked = false
		l.run()
	}
}

func (l *loop) run() {
	if l.running || l.k.machine == nil { // it has yet to begin
		return
	}
	l.running = true
	defer func() { l.running = false }()
	life := l.k.p.life
	for !l.blocked && l.k.p.life == life && l.k.w.failure == nil {
		switch {
		case len(l.pending) > 0:
			next := l.pending[0]
			l.pending = l.pending[1:]
			l.take(next)
		case len(l.waiting) > 0:
			what := l.waiting[0]
			l.waiting = l.waiting[1:]
			what()
		default:
			return
		}
	}
}

func (l *loop) take(next any) {
	switch next := next.(type) {
	case step.Effect:
		if answer := l.k.carry(next); answer != nil {
			l.pending = append(l.pending, answer)
		}
	case step.Event:
		was, begun := l.k.machine.State(), l.k.machine.Lineage()
		effects := l.k.machine.Handle(l.k.w.time(), next)
		now := l.k.machine.Lineage()
		if now != begun && now.Generation == l.k.machine.Generation() {
			l.k.w.oracle.lineages.begins(l.k)
		}
		if is := l.k.machine.State(); was != is && (was == wire.WorkerFollowing || is == wire.WorkerFollowing) || now != begun {
			l.k.beat()
		}
		first := make([]any, 0, len(effects)+len(l.pending))
		for _, f := range effects {
			first = append(first, f)
		}
		l.pending = append(first, l.pending...)
	}
}
