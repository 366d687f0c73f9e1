package natslink

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkAllReduce reduces between two processes over loopback. MB/s are
// bytes of the vector over time.
func BenchmarkAllReduce(b *testing.B) {
	for _, megabytes := range []int{6, 200} {
		for _, way := range []string{"mailbox", "broker"} {
			b.Run(fmt.Sprintf("%dMB/%s", megabytes, way), func(b *testing.B) {
				o := order{Words: megabytes * 250_000}
				if way == "broker" {
					o.Broker = startBroker(b).ClientURL()
				}
				benchmark(b, o)
			})
		}
	}
}

func benchmark(b *testing.B, o order) {
	box, other := openMailboxes(b, 1).(mailboxes)[0], start(b)
	o.Session = Session{Run: "test", Generation: 1, Rank: 1, World: 2, Previous: box.URL(), Next: box.URL()}
	other.tell(b, o)
	o.Session = Session{Run: "test", Generation: 1, Rank: 0, World: 2, Previous: other.url, Next: other.url}
	link, err := o.connect(box)
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	ring, err := o.ring(link)
	if err != nil {
		b.Fatal(err)
	}
	if s := other.line(b); s != "ready" {
		b.Fatal(s)
	}
	own, result := make([]int32, o.Words), make([]int32, o.Words)
	step := uint64(0)
	once := func() {
		step++
		other.tell(b, step)
		if err := ring.AllReduce(context.Background(), step, own, result); err != nil {
			b.Fatal(err)
		}
	}
	once()
	b.SetBytes(int64(4 * o.Words))
	for b.Loop() {
		once()
	}
}
