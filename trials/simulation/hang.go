package simulation

import (
	"errors"
	"time"

	"github.com/gramme-project/gramme/worker/step"
)

// A computation that does not return, while everything else of the process goes on.

// watchEvery is how often a worker looks after what it computes.
const watchEvery = failureTimeout / 4

var errHung = errors.New("a computation does not return")

// hang lets what a process computes stand still, until release or its end.
func (p *process) hang() {
	if p.up() && !p.stuck {
		p.w.say("what %s computes hangs", p.name)
		p.stuck, p.harmed = true, true
	}
}

// release lets it go on.
func (p *process) release() {
	if !p.stuck {
		return
	}
	p.w.say("what %s computes goes on", p.name)
	p.stuck = false
	if late := p.late; late != nil {
		p.late = nil
		p.do(p.life, late)
	}
}

// compute lets the process do something that is ready after a while of computing.
func (p *process) compute(d time.Duration, ready func()) {
	p.after(d, func() {
		if p.stuck {
			p.late = ready
			return
		}
		ready()
	})
}

// guard looks after what the worker computes, as worker.Watchdog does.
func (k *worker) guard() {
	var used step.Usage
	k.dog = step.NewWatchdog(k.w.time(), used, watchEvery, step.ComputeLimits(failureTimeout, 0, 0))
	k.p.every(watchEvery, func() {
		if !k.p.stuck {
			used.Processor += watchEvery
		}
		k.dog.Tick(k.w.time(), used)
		if k.closing || !k.dog.Overdue(k.intent.Stop) || k.w.bug == NoWatchdog {
			return
		}
		k.closing = true
		k.w.faults.quiet = k.w.now // until it was noticed, it disturbed the run
		k.loop.block()
		b := k.newestBeat()
		k.p.publish(topicSuspect, "", step.SuspectSelf(b, k.dog.Evidence("micro-batches")))
		// It waits until that is on its way, and not for what hangs.
		k.p.after(5*time.Millisecond, func() { k.w.parent.exited(k.p, errHung) })
	})
}
