package ringtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gramme-project/gramme/allreduce"
)

// Cutting is a Cluster whose members can be cut off from each other.
type Cutting interface {
	Cluster
	// Cut breaks the connection from one member to the next like a network failure:
	// nothing that is sent arrives any more, and nobody is notified. Both members live.
	Cut(from, to int)
}

// Cut breaks the connection to the next rank in the middle of a reduction, at each frame
// in turn. Only the sending rank can notice, and must, whatever it waits for.
func Cut(t *testing.T, open func(t testing.TB, n int) Cutting) {
	const world, words, frames = 3, 40, 8
	for n := range frames {
		t.Run(fmt.Sprint("frame ", n), func(t *testing.T) {
			cluster := open(t, world)
			links := cluster.Join(t, 1, members(world)...)
			defer closeAll(links)
			ends := slices.Clone(links)
			ends[0] = &cutBefore{links[0], n, func() { cluster.Cut(0, 1) }}
			rings := Rings(t, 1, ends, func(c *allreduce.Config) { c.Window = 2 * frames })
			own := Vectors(1, world, words, allreduce.Int32)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var others sync.WaitGroup
			for _, r := range []int{1, 2} {
				others.Go(func() {
					result := make([]int32, words)
					err := rings[r].AllReduce(ctx, 1, own[r], result)
					switch {
					case ctx.Err() != nil:
						t.Errorf("rank %d does not end after rank 0 left: %v", r, err)
					case allreduce.FailedRank(err) >= 0:
						t.Errorf("rank %d names a failed rank, and all live: %v", r, err)
					case err == nil && r == 1:
						t.Error("rank 1 has a result without a frame")
					case err == nil: // its missing frames were not to come from rank 0
						Check(t, allreduce.Int32, own, [][]int32{result})
					}
				})
			}
			if err := rings[0].AllReduce(ctx, 1, own[0], make([]int32, words)); err != nil && !errors.Is(err, allreduce.ErrSilent) {
				t.Errorf("rank 0 does not say that nothing comes from rank 1: %v", err)
			}
			select { // rank 0 may have had all that it needs
			case <-links[0].Lost():
			case <-ctx.Done():
				t.Error("rank 0 does not notice")
			}
			var peer *allreduce.PeerError
			if err := links[0].Err(); !errors.As(err, &peer) || peer.Rank != 1 || !errors.Is(err, allreduce.ErrLost) {
				t.Errorf("rank 0 does not say that rank 1 is lost: %v", err)
			}
			links[0].Abort(links[0].Err())
			links[1].Abort(errors.New("a new plan")) // rank 1 cannot notice before that
			others.Wait()
		})
	}
}

// cutBefore calls cut before its n-th send.
type cutBefore struct {
	allreduce.Link
	n   int
	cut func()
}

func (b *cutBefore) Send(ctx context.Context, header, payload []byte) error {
	if b.n--; b.n == -1 {
		b.cut()
	}
	return b.Link.Send(ctx, header, payload)
}
