package shells

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce/memlink"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/wire"
)

// process is what is started again after it ended. The driver of the cluster owns it.
type process struct {
	c    *cluster
	id   string
	role wire.Role
	run  func(*life) error

	life     *life // nil: it does not run
	starting bool
	finished bool // it ended as it should
}

// life is one run of a process.
type life struct {
	p      *process
	pid    int
	log    *zap.Logger
	ctx    context.Context
	cancel context.CancelFunc
	conn   *membus.Conn
	bulk   *membus.Conn
	store  *store
	drain  chan struct{} // closed: SIGTERM
	sigs   sync.Once
	died   chan struct{} // closed: nothing comes from it any more

	mu      sync.Mutex
	dead    bool
	newest  uint64 // step that it has computed
	links   []*link
	heldTo  time.Time     // until when its frames are held up
	compute time.Duration // of a micro-batch
	hangs   chan struct{} // closed when a computation that hangs goes on; nil: none does
}

func (l *life) name() string { return fmt.Sprintf("%s-%d", l.p.id, l.pid) }

// start begins a life after a while.
func (p *process) start(after time.Duration) {
	if p.life != nil || p.starting {
		return
	}
	p.starting, p.finished = true, false
	p.c.after(after, func() {
		p.starting = false
		if p.life == nil && !p.c.closing {
			p.begin()
		}
	})
}

func (p *process) begin() {
	c := p.c
	c.pids++
	l := &life{p: p, pid: c.pids, drain: make(chan struct{}), died: make(chan struct{}), compute: c.setup.compute}
	if p.role == wire.RoleWorker && c.setup.uneven {
		l.compute = time.Duration(1+c.rng.IntN(6)) * c.setup.compute
	}
	l.log = c.log.Named(l.name())
	l.conn, l.bulk = c.bus.Connect(p.id), c.bus.Connect(p.id)
	l.store = newStore(c.store.Connect(), l.died)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	p.life = l
	c.say("%s starts", l.name())
	c.running.Go(func() {
		err := p.run(l)
		l.cancel()
		l.conn.Close()
		l.bulk.Close()
		select {
		case c.ends <- ended{l, err}:
		case <-c.over:
		}
	})
}

// kill ends a life as SIGKILL does, or, silent, as the end of its host: then only the
// silence tells its neighbours in the ring.
func (l *life) kill(silent bool) {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.dead = true
	close(l.died)
	links := l.links
	if l.hangs != nil {
		close(l.hangs)
		l.hangs = nil
	}
	l.mu.Unlock()
	l.store.Crash()
	for _, k := range links {
		if silent {
			k.SetFault(func(memlink.Message) []memlink.Message { return nil })
			time.AfterFunc(ringSilence, k.Kill)
		} else {
			k.Kill()
		}
	}
	l.p.c.running.Go(l.conn.Close)
	l.p.c.running.Go(l.bulk.Close)
	l.cancel()
	if l.p.life == l {
		l.p.life = nil
	}
}

// term asks it to leave, as SIGTERM does.
func (l *life) term() { l.sigs.Do(func() { close(l.drain) }) }

// holds notes a link of this life, unless it has ended.
func (l *life) holds(k *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead {
		l.links = append(l.links, k)
	}
	return !l.dead
}

// hold holds up what it sends in the ring.
func (l *life) hold(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heldTo = time.Now().Add(d)
}

func (l *life) held() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.heldTo)
}

// hang lets computations stand still until the returned function is called.
func (l *life) hang() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.hangs != nil {
		return func() {}
	}
	hangs := make(chan struct{})
	l.hangs = hangs
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.hangs == hangs {
			close(hangs)
			l.hangs = nil
		}
	}
}

// slow changes how long a micro-batch takes.
func (l *life) slow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compute = d
}

// takes lets a micro-batch take its time.
func (l *life) takes() {
	l.mu.Lock()
	d, hangs := l.compute, l.hangs
	l.mu.Unlock()
	time.Sleep(d)
	if hangs != nil {
		<-hangs
	}
}
