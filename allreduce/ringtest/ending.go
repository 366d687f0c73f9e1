package ringtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
)

// How a ring ends: a member dies, aborts, leaves, or is done.

// killedMember kills one member in the middle of a reduction.
func killedMember(t *testing.T, open func(testing.TB, int) Cluster) {
	for _, world := range []int{2, 3, 5} {
		t.Run(fmt.Sprint("world ", world), func(t *testing.T) {
			const victim = 1
			cluster := open(t, world)
			links := cluster.Join(t, 1, members(world)...)
			defer closeAll(links)
			rings := Rings(t, 1, append(slices.Clone(links[:victim]),
				append([]allreduce.Link{&dying{links[victim], 5, func() { cluster.Kill(victim) }}}, links[victim+1:]...)...), nil)
			own := Vectors(1, world, 500, allreduce.Int32)
			before := clone(own)
			_, errs := Reduce(t, rings, 1, own)
			for r, err := range errs {
				if err == nil {
					t.Errorf("rank %d: no error", r)
				}
				var peer *allreduce.PeerError
				if r != victim && (!errors.As(err, &peer) || peer.Rank != victim || !errors.Is(err, allreduce.ErrLost)) {
					t.Errorf("rank %d does not say that rank %d is lost: %v", r, victim, err)
				}
			}
			unchanged(t, before, own)

			// The survivors go on in the next generation.
			alive := slices.Delete(members(world), victim, victim+1)
			if len(alive) == 1 {
				return
			}
			links = cluster.Join(t, 2, alive...)
			defer closeAll(links)
			own = slices.Delete(own, victim, victim+1)
			results, errs := Reduce(t, Rings(t, 2, links, nil), 1, own)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			Check(t, allreduce.Int32, own, results)
		})
	}
}

// dying calls kill at its n-th send and sends nothing more.
type dying struct {
	allreduce.Link
	n    int
	kill func()
}

func (d *dying) Send(ctx context.Context, header, payload []byte) error {
	if d.n--; d.n == 0 {
		d.kill()
	}
	if d.n <= 0 {
		return errors.New("killed")
	}
	return d.Link.Send(ctx, header, payload)
}

// Abort does nothing: a dead process sends no notice.
func (d *dying) Abort(error) {}

// cancelledReduction cancels a reduction on one rank.
func cancelledReduction(t *testing.T, open func(testing.TB, int) Cluster) {
	const world, quitter = 4, 2
	links := open(t, world).Join(t, 1, members(world)...)
	defer closeAll(links)
	rings := Rings(t, 1, links, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	newer := errors.New("generation 2 began")
	cancel(newer)
	own, result := make([]int32, 90), make([]int32, 90)
	if err := rings[quitter].AllReduce(ctx, 1, own, result); !errors.Is(err, newer) {
		t.Fatalf("the cause of the cancellation is not in the error: %v", err)
	}
	var others []*allreduce.Ring
	for r, ring := range rings {
		if r != quitter {
			others = append(others, ring)
		}
	}
	_, errs := Reduce(t, others, 1, [][]int32{own, own, own})
	for _, err := range errs {
		var peer *allreduce.PeerError
		if !errors.As(err, &peer) || peer.Rank != quitter || !errors.Is(err, allreduce.ErrLeft) {
			t.Errorf("an error does not say that rank %d left: %v", quitter, err)
		}
	}
	if err := rings[0].AllReduce(context.Background(), 2, own, result); err == nil {
		t.Error("a broken ring reduces")
	}
}

// closedLink closes a link between reductions.
func closedLink(t *testing.T, open func(testing.TB, int) Cluster) {
	const world, leaver = 4, 1
	links := open(t, world).Join(t, 1, members(world)...)
	defer closeAll(links)
	for _, l := range links {
		select {
		case <-l.Lost():
			t.Fatal("lost before anything happened: ", l.Err())
		default:
		}
		if l.Err() != nil {
			t.Fatal("an error before anything happened: ", l.Err())
		}
	}
	if err := links[leaver].Close(); err != nil {
		t.Fatal(err)
	}
	if err := links[leaver].Close(); err != nil {
		t.Fatal("the second close: ", err)
	}
	for _, r := range []int{0, 2} {
		select {
		case <-links[r].Lost():
		case <-time.After(patience):
			t.Fatalf("rank %d does not see that its neighbour left", r)
		}
		var peer *allreduce.PeerError
		if err := links[r].Err(); !errors.As(err, &peer) || peer.Rank != leaver || !errors.Is(err, allreduce.ErrLeft) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := links[leaver].Receive(ctx, func(_, _ []byte) error { return nil }); err == nil || ctx.Err() != nil {
		t.Error("a closed link receives: ", err)
	}
	if err := links[leaver].Send(ctx, nil, nil); err == nil {
		t.Error("a closed link sends")
	}
}

// leaveWithResult closes every rank's link as soon as it has its result: its last frames
// must still arrive.
func leaveWithResult(t *testing.T, open func(testing.TB, int) Cluster) {
	for _, world := range []int{2, 3} {
		cluster := open(t, world)
		for generation := range uint64(5) {
			links := cluster.Join(t, generation, members(world)...)
			rings := Rings(t, generation, links, nil)
			own := Vectors(generation, world, 200, allreduce.Int32)
			results, errs := make([][]int32, world), make([]error, world)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			var wg sync.WaitGroup
			for r := range rings {
				results[r] = make([]int32, 200)
				wg.Go(func() {
					err := rings[r].AllReduce(ctx, 1, own[r], results[r])
					errs[r] = errors.Join(err, links[r].Close())
				})
			}
			wg.Wait()
			cancel()
			if err := errors.Join(errs...); err != nil {
				t.Fatalf("world %d: %v", world, err)
			}
			Check(t, allreduce.Int32, own, results)
		}
	}
}

// noLeaks counts goroutines after generations that ended well and badly.
func noLeaks(t *testing.T, open func(testing.TB, int) Cluster) {
	const world = 3
	cluster := open(t, world)
	generation := uint64(0)
	once := func(bad bool) {
		generation++
		links := cluster.Join(t, generation, members(world)...)
		rings := Rings(t, generation, links, nil)
		own := Vectors(1, world, 100, allreduce.Int32)
		if bad {
			links[1].Abort(errors.New("on purpose"))
		}
		if _, errs := Reduce(t, rings, 1, own); (errors.Join(errs...) != nil) != bad {
			t.Fatal(errs)
		}
		closeAll(links)
	}
	once(false) // goroutines that a cluster starts only once are no leak
	before := stableGoroutines()
	for i := range 6 {
		once(i%2 == 1)
	}
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// stableGoroutines returns the number of goroutines once it no longer falls.
func stableGoroutines() int {
	n := runtime.NumGoroutine()
	for calm := 0; calm < 20; calm++ {
		time.Sleep(time.Millisecond)
		if m := runtime.NumGoroutine(); m < n {
			n, calm = m, 0
		}
	}
	return n
}
