package simulation

import (
	"errors"
	"time"
)

// topic and subject are where messages go; see wire.Subjects.
type topic int

const (
	topicReply topic = iota
	topicBeat
	topicHello
	topicSuspect
	topicCommitted
	topicEvents
	topicControl
	topicEntry
	topicSnapshot
	topicInfo
	topicPin
	topicSlice
)

type subject struct {
	topic topic
	of    string // a worker's ID or a role
}

// envelope is a message on its way.
type envelope struct {
	subject subject
	body    any
	from    *process
	life    int      // of from, when it was sent
	to      *process // of a reply
	request uint64   // 0: no answer is expected
	failure error    // of a reply
}

var (
	errNoResponders = errors.New("nobody listens")
	errTimeout      = errors.New("no answer in time")
)

// broker is NATS: at most once, in order within a connection.
type broker struct {
	w        *world
	down     bool
	requests uint64
}

// conn is a process's connection.
type conn struct {
	up      bool
	out, in pipe
	buffer  []envelope // published while there is no connection
}

// hop is how long a message takes: now and then it has to be sent again.
func hop(w *world) time.Duration {
	if w.chance(100) {
		return w.between(time.Millisecond, 250*time.Millisecond)
	}
	return w.between(50*time.Microsecond, time.Millisecond)
}

// connect begins a new connection, at once or as soon as there is a broker.
func (b *broker) connect(p *process) {
	p.conn.buffer = nil
	b.reset(p)
	b.reconnect(p, 0)
}

// disconnect ends the connection of a process that ended.
func (b *broker) disconnect(p *process) {
	b.reset(p)
	p.conn.out.heal()
	p.conn.in.heal()
}

func (b *broker) reset(p *process) {
	p.conn.up = false
	p.conn.out.reset()
	p.conn.in.reset()
	if p.link != nil {
		p.link.interrupted()
	}
}

// reconnect tries until it succeeds; then the messages published meanwhile go out.
func (b *broker) reconnect(p *process, after time.Duration) {
	p.after(after, func() {
		if b.down || p.conn.out.stalled || p.conn.in.stalled {
			b.reconnect(p, b.w.between(50*time.Millisecond, 200*time.Millisecond))
			return
		}
		p.conn.up = true
		buffer := p.conn.buffer
		p.conn.buffer = nil
		for _, e := range buffer {
			b.send(p, e)
		}
	})
}

// breakOff loses a connection and what is on the way; a new one follows.
func (b *broker) breakOff(p *process) {
	p.harmed, p.deaf = true, true
	if p.up() && p.conn.up {
		b.reset(p)
		b.reconnect(p, b.w.between(10*time.Millisecond, 300*time.Millisecond))
	}
}

func (b *broker) send(p *process, e envelope) {
	if !p.conn.up {
		p.conn.buffer = append(p.conn.buffer, e)
		return
	}
	p.conn.out.send(hop(b.w)+p.trip(), func() { b.route(e) })
}

// route hands a message to its listeners.
func (b *broker) route(e envelope) {
	if e.to != nil {
		b.deliver(e.to, e)
		return
	}
	delivered := false
	if e.subject.topic == topicBeat { // a worker listens to its own
		b.deliver(e.from, e)
	}
	for _, p := range b.w.processes {
		if p.up() && p.conn.up && p.topics[e.subject] {
			delivered = true
			b.deliver(p, e)
		}
		delivered = delivered || p.ghost && p.topics[e.subject]
	}
	if !delivered && e.request != 0 {
		b.deliver(e.from, envelope{to: e.from, life: e.life, request: e.request, failure: errNoResponders})
	}
}

func (b *broker) deliver(p *process, e envelope) {
	if !p.up() || !p.conn.up || e.to != nil && e.life != p.life {
		return
	}
	life := p.life
	p.conn.in.send(hop(b.w)+p.trip(), func() {
		p.do(life, func() {
			if e.to == nil {
				p.role.receive(e)
				return
			}
			if answer := p.requests[e.request]; answer != nil {
				delete(p.requests, e.request)
				answer(e.body, e.failure)
			}
		})
	})
}

func (p *process) listen(t topic, of string) { p.topics[subject{t, of}] = true }
func (p *process) ignore(t topic, of string) { delete(p.topics, subject{t, of}) }

func (p *process) publish(t topic, of string, body any) {
	p.w.broker.send(p, envelope{subject: subject{t, of}, body: body, from: p, life: p.life})
}

// ask sends a request; done is called once, with the first answer or an error.
func (p *process) ask(t topic, of string, body any, within time.Duration, done func(body any, err error)) {
	b := p.w.broker
	b.requests++
	id := b.requests
	p.requests[id] = done
	p.after(within, func() {
		if p.requests[id] != nil {
			delete(p.requests, id)
			done(nil, errTimeout)
		}
	})
	b.send(p, envelope{subject: subject{t, of}, body: body, from: p, life: p.life, request: id})
}

// answer replies to a request.
func (p *process) answer(e envelope, body any, err error) {
	if e.request != 0 {
		p.w.broker.send(p, envelope{to: e.from, life: e.life, request: e.request, body: body, failure: err, from: p})
	}
}
