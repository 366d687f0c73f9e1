package natslink

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/allreduce"
)

// BenchmarkAllReduce reduces among processes of this machine, by every way that frames
// can go, and in 16 bits. MB/s are bytes of the gradient in float32 over time.
func BenchmarkAllReduce(b *testing.B) {
	for _, megabytes := range []int{6, 200} {
		for _, world := range []int{2, 4} {
			for _, way := range []string{"memory", "memory16", "mailbox", "mailbox16", "broker"} {
				b.Run(fmt.Sprintf("%dMB/%d/%s", megabytes, world, way), func(b *testing.B) {
					o := order{Words: megabytes * 250_000}
					b.SetBytes(int64(4 * o.Words))
					if strings.HasSuffix(way, "16") {
						o.Words, o.Sum = o.Words/2, allreduce.Int16
					}
					if way == "broker" {
						o.Broker = startBroker(b).ClientURL()
					}
					shared := ""
					if strings.HasPrefix(way, "memory") {
						shared = boot
					}
					benchmark(b, o, world, shared)
				})
			}
		}
	}
}

// benchmark is rank 0; the others are processes of their own.
func benchmark(b *testing.B, o order, world int, boot string) {
	box := openOn(b, 1, boot)[0]
	others, urls := make([]*process, world), make([]string, world)
	urls[0] = box.URL()
	for r := 1; r < world; r++ {
		others[r] = start(b, boot)
		urls[r] = others[r].url
	}
	session := func(rank int) Session {
		return Session{Run: "test", Generation: 1, Rank: rank, World: world, Previous: urls[(rank+world-1)%world], Next: urls[(rank+1)%world]}
	}
	for r := 1; r < world; r++ {
		o.Session = session(r)
		others[r].tell(b, o)
	}
	o.Session = session(0)
	link, err := o.connect(box)
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	ring, err := o.ring(link)
	if err != nil {
		b.Fatal(err)
	}
	for r := 1; r < world; r++ {
		if s := others[r].line(b); s != "ready" {
			b.Fatal(s)
		}
	}
	own, result := make([]int32, o.Words), make([]int32, o.Words)
	for i := range own {
		own[i] = int32(i) // pages of its own, as a gradient has
	}
	step := uint64(0)
	once := func() {
		step++
		for r := 1; r < world; r++ {
			others[r].tell(b, step)
		}
		if err := ring.AllReduce(context.Background(), step, own, result); err != nil {
			b.Fatal(err)
		}
	}
	once()
	for b.Loop() {
		once()
	}
}
