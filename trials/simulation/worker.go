package simulation

import (
	"cmp"
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/trials/toy"
	"github.com/gramme-project/gramme/worker/pin"
	"github.com/gramme-project/gramme/worker/step"
	"github.com/gramme-project/gramme/worker/upload"
)

// worker is the shell around step.Machine, as package worker is: resume, serve,
// register, then a loop that carries out effects. Its files are named after that
// package's.
type worker struct {
	w  *world
	p  *process
	id string

	*pin.Replica
	fetched     *fetched
	applier     *replica.Applier
	sum         *replica.Accumulator
	grad        []float32
	result      result
	speed       *step.SpeedMeter
	echoes      *step.EchoMonitor
	dog         *step.Watchdog
	machine     *step.Machine // nil before it is registered
	reg         wire.Registration
	lease       *lease
	registering int
	ring        *ring
	fetching    *fetching
	saver       saver
	events      pipe // what goroutines tell the loop
	loop        loop

	plan    wire.Plan // newest that the watch delivered
	unread  bool      // the loop has not seen it
	intent  wire.Intent
	probing bool // it finds out whether it reaches the others
	drained bool // it was asked to leave by a signal
	closing bool

	// What the oracle knows of it.
	newest    uint64 // step that was applied or loaded last
	corrupted bool   // its state was tampered with
	trained   bool   // its state is one that it and others trained
}

// result is what was computed last; grad holds its gradient.
type result struct {
	job      step.Compute
	measured replica.Measured
}

// mostPinned is how many entries are pinned: few, so that newcomers fail to keep up.
const mostPinned = 6

var errDrained = errors.New("drained")

// newWorker is what a process does that is started as a worker.
func (w *world) newWorker(p *process, id string) *worker {
	k := &worker{w: w, p: p, id: id, speed: step.NewSpeedMeter(2 * failureTimeout), echoes: step.NewEchoMonitor(failureTimeout)}
	k.loop.k, k.saver, k.events.w = k, saver{k: k, queue: upload.NewQueue(failureTimeout, answerWithin)}, w
	state, err := toy.Initial(w.rule)
	if err == nil {
		k.applier, err = replica.NewApplier(w.rule, 1)
	}
	if err != nil {
		w.fail("start %s: %v", id, err)
		return k
	}
	k.sum, k.grad = replica.NewAccumulator(w.rule, 1), make([]float32, w.rule.Layout.Total)
	k.Replica = pin.New(state, w.rule, mostPinned)
	k.guard()
	k.reg = wire.Registration{ID: id, Host: "host", PID: p.pid, Build: build, SpecHash: specHash, CorpusHash: corpusHash, Fingerprint: "f", Mailbox: "at-" + id}
	p.after(w.between(time.Millisecond, 50*time.Millisecond), k.resume)
	return k
}

// name is how it is called in transcripts.
func (k *worker) name() string { return cmp.Or(k.reg.Incarnation, k.id) }

// exit ends the process in good order; nil is the end of the run.
func (k *worker) exit(err error) {
	if k.closing {
		return
	}
	k.closing = true
	k.loop.block()
	k.endFetch()
	if k.ring != nil {
		k.ring.leave()
		k.ring = nil
	}
	gone := func(error) { k.w.parent.exited(k.p, err) }
	if k.lease == nil {
		gone(nil)
		return
	}
	k.lease.close(gone)
}

// ended implements role.
func (k *worker) ended() {
	if k.ring != nil {
		k.ring.vanish()
	}
}

// wanted takes what the run is asked to do.
func (k *worker) wanted(i wire.Intent) {
	k.depart(k.machine.Departure(i))
	k.loop.handle(step.StopRequested{Withdrawn: !i.Stop})
}

// depart leaves where it can at once, and otherwise announces the drain.
func (k *worker) depart(how step.Departure) {
	switch {
	case how == step.LeaveNow, how == step.AnnounceDrain && k.w.bug == LeaveMidStep:
		k.exit(errDrained)
	case how == step.AnnounceDrain && !k.reg.Draining:
		k.reg.Draining = true
		k.w.say("%s drains", k.reg.Incarnation)
		k.announce(func() { k.post(step.DrainRequested{}) })
	}
}

// sigterm asks the process to leave.
func (k *worker) sigterm() {
	k.drained = true
	if k.machine != nil {
		k.loop.do(func() { k.depart(k.machine.Drained()) })
	}
}

// receive implements role.
func (k *worker) receive(e envelope) {
	switch e.subject.topic {
	case topicHello:
		h := e.body.(wire.Hello)
		if k.w.bug == OldHellos && k.machine != nil && h.Generation < k.machine.Generation() {
			h.Generation = k.machine.Generation()
		}
		k.post(step.HelloReceived{Hello: h})
	case topicBeat:
		if e.life == k.p.life {
			k.echoes.Received(k.w.time(), time.Unix(0, e.body.(wire.Beat).Sent))
		}
	case topicCommitted:
		k.post(step.Stored{Step: e.body.(wire.Committed).Step})
	case topicEntry:
		k.answerEntry(e)
	case topicSnapshot:
		k.answerSnapshot(e)
	case topicInfo:
		k.answerInfo(e)
	case topicPin:
		k.answerPin(e)
	}
}

// post hands an event to the loop.
func (k *worker) post(e step.Event) {
	life := k.p.life
	k.events.send(k.w.between(10*time.Microsecond, 300*time.Microsecond), func() {
		k.p.do(life, func() { k.loop.do(func() { k.loop.handle(e) }) })
	})
}
