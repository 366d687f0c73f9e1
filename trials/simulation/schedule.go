package simulation

import (
	"container/heap"
	"time"
)

// happening is something that happens at a time.
type happening struct {
	at    time.Duration
	order uint64 // of those at the same time
	run   func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = happening{}
	*a = old[:len(old)-1]
	return last
}

// at lets something happen at a time, which is not in the past.
func (w *world) at(t time.Duration, run func()) {
	w.added++
	heap.Push(&w.agenda, happening{t, w.added, run})
}

// next lets the next thing happen; false: there is none.
func (w *world) next() bool {
	if len(w.agenda) == 0 {
		return false
	}
	o := heap.Pop(&w.agenda).(happening)
	w.now = o.at
	w.events++
	o.run()
	return true
}

// between draws a duration.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// time is virtual time as the machines see it.
func (w *world) time() time.Time { return time.Unix(1000, 0).Add(w.now) }

// pipe delivers in order, as a stream of a connection does.
type pipe struct {
	w       *world
	clock   time.Duration // when the newest arrives
	epoch   int           // connections so far
	stalled bool
	held    []func()
}

// send delivers after a delay, or not before what was sent earlier.
func (p *pipe) send(delay time.Duration, deliver func()) {
	p.clock = max(p.clock, p.w.now+delay)
	epoch := p.epoch
	p.w.at(p.clock, func() {
		switch {
		case p.epoch != epoch: // lost with the connection
		case p.stalled:
			p.held = append(p.held, deliver)
		default:
			deliver()
		}
	})
}

// heal lets held messages arrive.
func (p *pipe) heal() {
	p.stalled = false
	held := p.held
	p.held = nil
	for _, deliver := range held {
		deliver()
	}
}

// reset loses what is on the way.
func (p *pipe) reset() { p.epoch, p.held = p.epoch+1, nil }
