package simulation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
	"github.com/gramme-project/gramme/allreduce/ringtest"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestLinksConform tries the models of links by the suite that the real ones pass.
func TestLinksConform(t *testing.T) {
	for name, via := range map[string]bool{"straight": false, "through NATS": true} {
		open := openLinks(via, 0)
		t.Run(name, func(t *testing.T) {
			ringtest.Run(t, []int{2, 3, 4, 5}, func(t testing.TB, n int) ringtest.Cluster { return open(t, n) })
		})
	}
	t.Run("cut", func(t *testing.T) { ringtest.Cut(t, openLinks(false, 400*time.Millisecond)) })
}

func openLinks(via bool, silence time.Duration) func(t testing.TB, n int) ringtest.Cutting {
	return func(t testing.TB, n int) ringtest.Cutting {
		c := &linkCluster{driver: drive(t, silence > 0), via: via, links: map[*process][]*blocking{}}
		c.do(func() { c.w.silence = silence })
		for i := range n {
			var p *process
			p = c.process(strconv.Itoa(i), func() {
				for _, b := range c.links[p] {
					b.link.vanish()
				}
			})
			c.members = append(c.members, p)
		}
		return c
	}
}

// linkCluster is a set of processes between which links are opened.
type linkCluster struct {
	*driver
	via     bool
	members []*process
	links   map[*process][]*blocking
}

// Join implements ringtest.Cluster.
func (c *linkCluster) Join(t testing.TB, generation uint64, members ...int) []allreduce.Link {
	t.Helper()
	var all []wire.Member
	for _, m := range members {
		name := c.members[m].name
		all = append(all, wire.Member{ID: name, Incarnation: name})
	}
	links := make([]allreduce.Link, len(members))
	ends := make([]*blocking, len(members))
	c.do(func() {
		for rank, m := range members {
			p := c.members[m]
			b := &blocking{cluster: c, lost: make(chan struct{})}
			b.link = p.openLink(generation, rank, all, c.via, b)
			c.links[p] = append(c.links[p], b)
			links[rank], ends[rank] = b, b
		}
	})
	for _, b := range ends {
		if err := c.await(t.Context(), func() bool { return b.link.joined || b.first != nil }); err != nil || b.first != nil {
			t.Fatalf("join: %v, %v", err, b.first)
		}
	}
	return links
}

// Kill implements ringtest.Cluster.
func (c *linkCluster) Kill(member int) { c.do(c.members[member].end) }

// Cut implements ringtest.Cutting.
func (c *linkCluster) Cut(from, to int) {
	c.do(func() { c.w.line(c.members[from], c.members[to]).stalled = true })
}

// blocking is a link of the simulation as allreduce.Link has it. Acknowledgements,
// which the simulation leaves out, go the way that its frames go.
type blocking struct {
	cluster *linkCluster
	link    *link
	credits int
	first   error
	lost    chan struct{}
}

func (b *blocking) connected() {}
func (b *blocking) arrived()   {}
func (b *blocking) parted() {
	if b.first == nil {
		b.first = b.link.lost.FirstErr()
		close(b.lost)
	}
}

// alive returns why this end is of no use.
func (b *blocking) alive() error {
	if l := b.link; l.closed || l.dead {
		return fmt.Errorf("link of rank %d: closed", l.rank)
	}
	return nil
}

// Send implements allreduce.Link.
func (b *blocking) Send(ctx context.Context, header, payload []byte) (err error) {
	f := frame{append([]byte(nil), header...), append([]byte(nil), payload...)}
	b.cluster.do(func() {
		if err = errors.Join(context.Cause(ctx), b.alive(), b.link.lost.Err(neighbour.Next)); err == nil {
			b.link.send(f)
		}
	})
	return err
}

// Receive implements allreduce.Link.
func (b *blocking) Receive(ctx context.Context, use func(header, payload []byte) error) (err error) {
	var f frame
	waited := b.cluster.await(ctx, func() bool {
		if err = b.alive(); err != nil {
			return true
		}
		var ok bool
		if f, ok = b.link.take(); ok {
			return true
		}
		if why := b.link.starved(); why != nil {
			err = why
		}
		return err != nil
	})
	if err := errors.Join(err, waited); err != nil {
		return err
	}
	return use(f.header, f.payload)
}

// Acknowledge implements allreduce.Link.
func (b *blocking) Acknowledge(n int) (err error) {
	b.cluster.do(func() {
		if err = b.alive(); err != nil {
			return
		}
		to, generation := b.link.peer(neighbour.Previous), b.link.generation
		life := to.life
		b.link.carry(to, func() {
			to.do(life, func() {
				for _, end := range b.cluster.links[to] {
					if end.link.generation == generation {
						end.credits += n
					}
				}
			})
		})
	})
	return err
}

// Credits implements allreduce.Link.
func (b *blocking) Credits(ctx context.Context) (n int, err error) {
	waited := b.cluster.await(ctx, func() bool {
		n, b.credits = b.credits, 0
		if n == 0 {
			err = errors.Join(b.alive(), b.link.lost.Err(neighbour.Next))
		}
		return n > 0 || err != nil
	})
	return n, errors.Join(err, waited)
}

// Lost implements allreduce.Link.
func (b *blocking) Lost() <-chan struct{} { return b.lost }

// Err implements allreduce.Link.
func (b *blocking) Err() (err error) {
	b.cluster.do(func() { err = b.first })
	return err
}

// Abort implements allreduce.Link.
func (b *blocking) Abort(reason error) { b.cluster.do(func() { b.link.abort(reason) }) }

// Close implements allreduce.Link.
func (b *blocking) Close() error {
	b.cluster.do(b.link.leave)
	return nil
}
