package simulation

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// driver lets the events of a world happen in a goroutine of their own, so that a
// suite whose calls block can try what the world models.
type driver struct {
	w     *world
	paced bool // by package time, which is virtual inside testing/synctest; else as fast as it goes
	began time.Time
	quit  chan struct{}
	ended chan struct{}
	poke  chan struct{} // something was added

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something has happened
}

// bare is a world with nothing but the models of etcd, NATS and links.
func bare() *world {
	w := &world{rng: rand.New(rand.NewPCG(1, 2)), lines: map[[2]*process]*pipe{}, byName: map[string]*process{}}
	w.broker, w.store, w.oracle = &broker{w: w}, &store{w: w}, newOracle(w, nil)
	return w
}

// drive runs a bare world until the end of the test.
func drive(t testing.TB, paced bool) *driver {
	d := &driver{
		w: bare(), paced: paced, began: time.Now(), quit: make(chan struct{}), ended: make(chan struct{}),
		poke: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	go d.run()
	t.Cleanup(func() {
		close(d.quit)
		<-d.ended
		if d.w.failure != nil {
			t.Error(d.w.failure)
		}
	})
	return d
}

func (d *driver) run() {
	defer close(d.ended)
	for {
		wait, some := d.step()
		if some && wait <= 0 {
			select {
			case <-d.quit:
				return
			default:
				continue
			}
		}
		var due <-chan time.Time
		if some {
			due = time.After(wait)
		}
		select {
		case <-d.quit:
			return
		case <-d.poke:
		case <-due:
		}
	}
}

// step lets what is due happen, and returns how long it is until the next thing, if
// there is one.
func (d *driver) step() (wait time.Duration, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tick()
	if len(d.w.agenda) == 0 {
		return 0, false
	}
	if at := d.w.agenda[0].at; d.paced && at > d.w.now {
		return at - d.w.now, true
	}
	d.w.next()
	d.tell()
	return 0, true
}

// tell lets those that wait look again; it needs mu.
func (d *driver) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// tick brings the world's clock up to date.
func (d *driver) tick() {
	if d.paced {
		d.w.now = max(d.w.now, time.Since(d.began))
	}
}

// do lets something happen now.
func (d *driver) do(what func()) {
	d.mu.Lock()
	d.tick()
	what()
	d.tell()
	d.mu.Unlock()
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

// await tries something again whenever anything has happened, until it says that it
// is done or ctx ends.
func (d *driver) await(ctx context.Context, try func() (done bool)) error {
	for {
		d.mu.Lock()
		d.tick()
		done, changed := try(), d.changed
		d.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// process starts one that does nothing by itself.
func (d *driver) process(name string, ended func()) (p *process) {
	d.do(func() {
		p = d.w.newProcess(name, func() role { return quiet{ended} })
		d.w.byName[name] = p
		p.start()
	})
	return p
}

// quiet is the role of such a process.
type quiet struct{ end func() }

func (quiet) receive(envelope) {}
func (q quiet) ended()         { q.end() }
