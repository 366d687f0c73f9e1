package simulation

import "time"

// process is a place where one role runs, start after start.
type process struct {
	w    *world
	name string
	boot func() role // what runs in it

	role     role // nil: it does not run
	life     int  // starts so far, ends included
	pid      int
	frozen   bool
	held     []func()      // what would have happened while it was frozen
	stuck    bool          // what it computes does not return
	late     func()        // what is ready when it does
	cut      bool          // from etcd
	quarters int           // how long it computes, in quarters of what is usual
	slow     int           // how many times longer it computes for a while
	harmed   bool          // something happened to this start of it but to end it
	deaf     bool          // part of that: it may have missed messages
	far      time.Duration // behind a slow link that loses packets: how long one is on it
	ghost    bool          // it is gone, and its connection to NATS seems to be there

	conn     conn
	link     *link // its end of the newest ring
	topics   map[subject]bool
	requests map[uint64]func(body any, err error)
}

// role is what a process runs.
type role interface {
	// receive takes a message that the process listens to.
	receive(e envelope)
	// ended is called once the process does not run any more.
	ended()
}

func (w *world) newProcess(name string, boot func() role) *process {
	p := &process{w: w, name: name, boot: boot, slow: 1, quarters: 4}
	p.conn.out.w, p.conn.in.w = w, w
	w.processes = append(w.processes, p)
	return p
}

func (p *process) up() bool { return p.role != nil }

// start runs the role from its beginning.
func (p *process) start() {
	if p.up() {
		return
	}
	p.w.pids++
	p.life, p.pid, p.frozen, p.held, p.stuck, p.late, p.ghost, p.harmed, p.deaf = p.life+1, p.w.pids, false, nil, false, nil, false, false, false
	p.topics, p.requests = map[subject]bool{}, map[uint64]func(any, error){}
	p.w.say("start %s", p.name)
	p.w.broker.connect(p)
	p.role = p.boot()
}

// end stops the role where it is.
func (p *process) end() {
	r := p.role
	if r == nil {
		return
	}
	p.role, p.frozen, p.held, p.stuck, p.late = nil, false, nil, false, nil
	p.life++
	p.w.broker.disconnect(p)
	r.ended()
}

// after lets the process do something after a while, if it still runs then.
func (p *process) after(d time.Duration, do func()) {
	life := p.life
	p.w.at(p.w.now+d, func() { p.do(life, do) })
}

// do is something that the process does in one life: later, if it is frozen.
func (p *process) do(life int, do func()) {
	switch {
	case !p.up() || p.life != life:
	case p.frozen:
		p.held = append(p.held, do)
	default:
		do()
	}
}

// every repeats something until the process ends.
func (p *process) every(d time.Duration, do func()) {
	p.after(d, func() {
		do()
		p.every(d, do)
	})
}

func (p *process) freeze() {
	if p.up() && !p.frozen {
		p.w.say("freeze %s", p.name)
		p.frozen, p.harmed = true, true
	}
}

// wake runs everything that was held up, in its order.
func (p *process) wake() {
	if !p.frozen {
		return
	}
	p.w.say("wake %s", p.name)
	life, held := p.life, p.held
	p.frozen, p.held = false, nil
	for _, do := range held {
		p.do(life, do)
	}
}
