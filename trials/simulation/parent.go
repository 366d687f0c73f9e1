package simulation

import (
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// parent starts processes, and restarts those that ended, as `gramme up` or a cluster manager
// does: it reports the ends that it sees to the coordinator, starts the workers that a scale
// asks for, and restarts everything when all workers are gone and steps are left.
type parent struct {
	w        *world
	p        *process // its connection
	workers  []*process
	services []*process        // checkpoint service and coordinators
	finished map[*process]bool // a worker that ended as it should
	starting map[*process]bool
	scales   uint64
	sessions int
}

// mostWorkers is how many may be there at a time.
const mostWorkers = 6

func newParent(w *world) *parent {
	u := &parent{w: w, finished: map[*process]bool{}, starting: map[*process]bool{}}
	add := func(name string, boot func(p *process) role) *process {
		var p *process
		p = w.newProcess(name, func() role { return boot(p) })
		w.byName[name] = p
		return p
	}
	u.services = append(u.services, add(wire.IDCheckpoint, w.newService))
	for i := range w.setup.coordinators {
		u.services = append(u.services, add(fmt.Sprintf("c%d", i+1), w.newCoordinator))
	}
	for i := range mostWorkers {
		id := fmt.Sprintf("w%d", i+1)
		p := add(id, func(p *process) role { return w.newWorker(p, id) })
		if w.setup.uneven {
			p.quarters = 1 + w.rng.IntN(12)
		}
		u.workers = append(u.workers, p)
	}
	u.p = add(wire.IDUp, func(*process) role { return idle{} })
	return u
}

// idle is a process that only asks.
type idle struct{}

func (idle) receive(envelope) {}
func (idle) ended()           {}

// up starts everything.
func (u *parent) up() {
	u.p.start()
	for _, p := range u.services {
		u.start(p, u.w.between(0, 100*time.Millisecond))
	}
	for _, p := range u.workers[:u.w.setup.workers] {
		u.start(p, u.w.between(0, 400*time.Millisecond))
	}
	u.w.store.watch(u.p, watchIntent, u.scale)
	u.p.every(time.Second, u.check)
}

func (u *parent) start(p *process, after time.Duration) {
	if p.up() || u.starting[p] {
		return
	}
	u.starting[p], u.finished[p] = true, false
	u.w.at(u.w.now+after, func() {
		u.starting[p] = false
		p.start()
	})
}

func (u *parent) isWorker(p *process) bool {
	_, ok := p.role.(*worker)
	return ok
}

// exited sees the end of a process by itself.
func (u *parent) exited(p *process, err error) {
	u.w.say("%s ends: %v", p.name, err)
	pid := p.pid
	p.end()
	if err == nil || errors.Is(err, errDrained) {
		u.finished[p] = true
		return
	}
	u.restart(p, pid, true)
}

// crash ends a process. Silent: with its host, so that nobody is told.
func (u *parent) crash(p *process, silent bool) {
	if !p.up() {
		return
	}
	u.w.say("%s crashes (silent: %v)", p.name, silent)
	pid, topics := p.pid, p.topics
	u.w.silent = silent
	worker := u.isWorker(p)
	p.end()
	u.w.silent = false
	if silent {
		p.ghost, p.topics = true, topics
		life := p.life
		u.w.at(u.w.now+6*time.Second, func() { p.ghost = p.ghost && p.life != life })
	}
	u.restart(p, pid, worker && !silent)
}

// restart starts a process that should run, and says that the one before ended.
func (u *parent) restart(p *process, pid int, accuse bool) {
	if accuse && !u.w.chance(3) {
		u.p.publish(topicSuspect, "", wire.Suspicion{From: wire.IDUp, Subject: p.name, PID: pid, Evidence: wire.EvidenceEnded, Final: true})
	}
	after := u.w.between(50*time.Millisecond, 3*time.Second)
	if u.w.chance(4) {
		after = u.w.between(0, 50*time.Millisecond)
	}
	u.start(p, after)
}

// scale starts the workers that are wanted and not there.
func (u *parent) scale() {
	i := u.w.store.intent
	if i.Scales <= u.scales || i.Stop {
		return
	}
	u.scales = i.Scales
	lack := i.Workers
	for _, p := range u.workers {
		if k, ok := p.role.(*worker); u.starting[p] || ok && !k.reg.Draining && !k.drained {
			lack--
		}
	}
	u.startWorkers(lack)
}

// gone reports whether no worker runs or is about to.
func (u *parent) gone() bool {
	for _, p := range u.workers {
		if p.up() || u.starting[p] {
			return false
		}
	}
	return true
}

// over reports whether the run has come to its end, and the ledger has all of it.
func (u *parent) over() bool {
	s := u.w.folder.newest
	return s != nil && s.Step == u.w.rule.Steps && u.w.oracle.done && u.gone() && u.w.oracle.allRecorded()
}

// check starts everything again where all workers have left and steps are left to do.
func (u *parent) check() {
	if s := u.w.folder.newest; u.gone() && (s == nil || s.Step < u.w.rule.Steps) {
		u.w.say("all workers have left: everything is restarted")
		u.restartAll(u.w.chance(2))
		return
	}
	if u.w.oracle.done || u.w.store.intent.Stop {
		return
	}
	lack := u.w.setup.least // a user that has let too many go brings them back
	for _, p := range u.workers {
		if k, ok := p.role.(*worker); u.starting[p] || ok && !k.reg.Draining && !k.drained {
			lack--
		}
	}
	u.startWorkers(lack)
}

// startWorkers starts some workers that are not there.
func (u *parent) startWorkers(n int) {
	for _, p := range u.workers {
		if n > 0 && !p.up() && !u.starting[p] {
			u.start(p, u.w.between(0, 300*time.Millisecond))
			n--
		}
	}
}

// restartAll ends everything at once and starts it from the newest checkpoint, with what
// etcd holds or with an etcd that is empty. Where it holds what it did, coordinators
// of other machines may go on.
func (u *parent) restartAll(empty bool) {
	for _, p := range u.services {
		if _, ok := p.role.(*coordinator); empty || !ok || u.w.chance(2) {
			p.end()
		}
	}
	for _, p := range u.workers {
		p.end()
		u.finished[p] = false
	}
	if empty {
		old := u.w.store
		u.w.store = &store{w: u.w, down: old.down}
		old.down = true // no process is left that could ask it
		u.w.oracle.forgetPlans()
		u.w.store.watch(u.p, watchIntent, u.scale)
	}
	u.sessions++
	u.w.store.renew()
	u.scales = 0
	for _, p := range u.services {
		u.start(p, u.w.between(0, time.Second))
	}
	for _, p := range u.workers[:u.w.setup.workers] {
		u.start(p, u.w.between(0, time.Second))
	}
}
