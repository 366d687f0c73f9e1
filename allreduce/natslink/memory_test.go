package natslink

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

const boot = "the boot of this machine"

// sharing are mailboxes of one host.
type sharing struct {
	networked
	links map[int][]*sharingLink // by member
}

// sharingLink is a link that can lose what goes through memory, which no network cuts.
type sharingLink struct {
	*link
	cut atomic.Bool
}

func (l *sharingLink) Send(ctx context.Context, header, payload []byte) error {
	if l.cut.Load() {
		return nil
	}
	return l.link.Send(ctx, header, payload)
}

func openSharing(t testing.TB, n int, silence time.Duration) ringtest.Cutting {
	c := sharing{links: map[int][]*sharingLink{}}
	for range n {
		network := ringtest.NewNetwork()
		m, err := Open(Options{Secret: secret, Dial: network.Dial, Silence: silence, Boot: boot})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		c.mailboxes, c.networks = append(c.mailboxes, m), append(c.networks, network)
	}
	return c
}

func (c sharing) Join(t testing.TB, generation uint64, members ...int) []allreduce.Link {
	links := c.networked.Join(t, generation, members...)
	for r, m := range members {
		l := &sharingLink{link: links[r].(*link)}
		if through, why := l.ThroughMemory(); !through {
			t.Fatalf("rank %d does not send through memory: %v", r, why)
		}
		links[r], c.links[m] = l, append(c.links[m], l)
	}
	return links
}

// Kill ends the memory of a member as well, as the kernel does.
func (c sharing) Kill(member int) {
	c.networked.Kill(member)
	for _, l := range c.links[member] {
		l.memory.close()
	}
}

func (c sharing) Cut(from, to int) {
	c.networked.Cut(from, to)
	for _, l := range c.links[from] {
		l.cut.Store(true)
	}
}

func TestMemoryConformance(t *testing.T) {
	ringtest.Run(t, []int{2, 3, 5}, func(t testing.TB, n int) ringtest.Cluster { return openSharing(t, n, 0) })
}

func TestMemoryCut(t *testing.T) {
	ringtest.Cut(t, func(t testing.TB, n int) ringtest.Cutting { return openSharing(t, n, 400*time.Millisecond) })
}

// openOn opens mailboxes on a host; without a boot ID they share no memory.
func openOn(t testing.TB, n int, boot string) (list mailboxes) {
	for range n {
		m, err := Open(Options{Secret: secret, Boot: boot})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		list = append(list, m)
	}
	return list
}

// TestWithoutMemory joins rings of which not all can share memory: frames go over NATS
// there.
func TestWithoutMemory(t *testing.T) {
	for _, c := range []struct {
		name    string
		options [2]Options
		why     [2]string // of each rank; "" is memory
	}{
		{"two hosts", [2]Options{{Boot: "a"}, {Boot: "b"}}, [2]string{"another host", "another host"}},
		{"one without memory", [2]Options{{Boot: "a"}, {}}, [2]string{"offers no memory", "not asked for"}},
		{"one host", [2]Options{{Boot: "a"}, {Boot: "a"}}, [2]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var boxes mailboxes
			for _, o := range c.options {
				o.Secret = secret
				m, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				boxes = append(boxes, m)
			}
			links := boxes.Join(t, 1, 0, 1)
			for r, l := range links {
				through, why := l.(*link).ThroughMemory()
				if through != (c.why[r] == "") || !through && !strings.Contains(why.Error(), c.why[r]) {
					t.Errorf("rank %d through memory: %v, %v, not because %q", r, through, why, c.why[r])
				}
			}
			own := ringtest.Vectors(1, 2, 100, allreduce.Int32)
			results, errs := ringtest.Reduce(t, ringtest.Rings(t, 1, links, nil), 1, own)
			for _, err := range errs {
				if err != nil {
					t.Fatal(err)
				}
			}
			ringtest.Check(t, allreduce.Int32, own, results)
			for _, l := range links {
				l.Abort(nil)
			}
		})
	}
}
