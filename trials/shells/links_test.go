package shells

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/memlink"
	"github.com/gramme-project/gramme/internal/wire"
)

// ringSilence is after how long a neighbour counts as lost that does not come.
const ringSilence = 4 * time.Second

// rings are the links of all generations.
type rings struct {
	mu  sync.Mutex
	all map[string]*hall
}

// hall is where the members of one generation meet.
type hall struct {
	mesh    []*memlink.Link
	arrived []chan struct{} // by rank, closed
}

func (r *rings) hall(p wire.Plan) *hall {
	r.mu.Lock()
	defer r.mu.Unlock()
	var name strings.Builder
	fmt.Fprint(&name, p.Generation)
	for _, m := range p.Members {
		name.WriteString(" " + m.Incarnation)
	}
	h := r.all[name.String()]
	if h == nil {
		h = &hall{mesh: memlink.NewMesh(len(p.Members))}
		for range h.mesh {
			h.arrived = append(h.arrived, make(chan struct{}))
		}
		r.all[name.String()] = h
	}
	return h
}

// links implements worker.Links for one life of a worker.
type links struct{ l *life }

func (k links) URL() string { return "memory://" + k.l.name() }

func (k links) Connect(ctx context.Context, p wire.Plan, rank int) (allreduce.Link, error) {
	h := k.l.p.c.rings.hall(p)
	out := &link{Link: h.mesh[rank], l: k.l, next: (rank + 1) % len(h.mesh), closed: make(chan struct{})}
	if !k.l.holds(out) {
		return nil, errDead
	}
	time.AfterFunc(time.Second, func() { k.l.left(out) })
	close(h.arrived[rank])
	late := time.NewTimer(ringSilence)
	defer late.Stop()
	for _, other := range []int{(rank + len(h.mesh) - 1) % len(h.mesh), out.next} {
		select {
		case <-h.arrived[other]:
		case <-ctx.Done():
			_ = out.Close() // as after any failed attempt
			return nil, context.Cause(ctx)
		case <-late.C:
			err := &allreduce.PeerError{Rank: other, Err: allreduce.ErrSilent}
			out.Abort(err)
			return nil, err
		}
	}
	return out, nil
}

// link is a link in memory, whose frames may be held up.
type link struct {
	*memlink.Link
	l       *life
	next    int
	closing sync.Once
	closed  chan struct{}
}

// Send waits as long as the ways out of this process are held up.
func (k *link) Send(ctx context.Context, header, payload []byte) error {
	if hold := k.l.held(); hold > 0 {
		silent := hold > ringSilence
		wait := time.NewTimer(min(hold, ringSilence))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-k.Lost():
		case <-k.closed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if silent {
			k.Cut()
		}
	}
	return k.Link.Send(ctx, header, payload)
}

func (k *link) Close() error {
	k.Abort(nil)
	return nil
}

func (k *link) Abort(reason error) {
	k.closing.Do(func() { close(k.closed) })
	k.Link.Abort(reason)
}
