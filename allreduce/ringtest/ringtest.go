// Package ringtest is the conformance suite of allreduce.Link: what a ring must
// do over every kind of link; and a network that can be cut.
package ringtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
)

// patience bounds what should take milliseconds, so that a defect fails a test
// rather than hangs it.
const patience = 20 * time.Second

// Cluster is a set of members that can form rings.
type Cluster interface {
	// Join makes a ring of these members, the rank is the index, and returns
	// their links.
	Join(t testing.TB, generation uint64, members ...int) []allreduce.Link
	// Kill ends a member as the death of its process would.
	Kill(member int)
}

// Run runs the suite. open makes a cluster of n members and cleans up after it;
// worlds are the sizes to try.
func Run(t *testing.T, worlds []int, open func(t testing.TB, n int) Cluster) {
	t.Run("sums", func(t *testing.T) { sums(t, worlds, open) })
	t.Run("kill", func(t *testing.T) { kill(t, open) })
	t.Run("cancel", func(t *testing.T) { cancelled(t, open) })
	t.Run("close", func(t *testing.T) { closed(t, open) })
	t.Run("done and gone", func(t *testing.T) { doneAndGone(t, open) })
	t.Run("spoiled frames", func(t *testing.T) { spoiled(t, open) })
	t.Run("late frames", func(t *testing.T) { late(t, open) })
	t.Run("nothing left", func(t *testing.T) { nothingLeft(t, open) })
}

// Config returns a small configuration, so that a few words make many frames.
func Config(generation uint64, rank, world int) allreduce.Config {
	return allreduce.Config{
		Run: "test", Generation: generation, Rank: rank, World: world, ChunkWords: 7, Window: 3,
	}
}

// Rings makes the rings of links; edit may be nil.
func Rings(t testing.TB, generation uint64, links []allreduce.Link, edit func(*allreduce.Config)) []*allreduce.Ring {
	t.Helper()
	rings := make([]*allreduce.Ring, len(links))
	for r, l := range links {
		cfg := Config(generation, r, len(links))
		if edit != nil {
			edit(&cfg)
		}
		var err error
		if rings[r], err = allreduce.New(cfg, l); err != nil {
			t.Fatal(err)
		}
	}
	return rings
}

// Reduce calls AllReduce on all rings at once.
func Reduce(t testing.TB, rings []*allreduce.Ring, step uint64, own [][]int32) (results [][]int32, errs []error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results, errs = make([][]int32, len(rings)), make([]error, len(rings))
	var wg sync.WaitGroup
	for r, ring := range rings {
		results[r] = make([]int32, len(own[r]))
		wg.Go(func() { errs[r] = ring.AllReduce(ctx, step, own[r], results[r]) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatalf("step %d took more than %v: %v", step, patience, errs)
	}
	return results, errs
}

// Vectors returns one random vector for each rank.
func Vectors(seed uint64, world, length int, sum allreduce.Sum) [][]int32 {
	random := rand.New(rand.NewPCG(seed, uint64(length)))
	own := make([][]int32, world)
	for r := range own {
		own[r] = make([]int32, length)
		for i := range own[r] {
			if sum == allreduce.Float32 {
				own[r][i] = int32(math.Float32bits(float32(random.NormFloat64())))
			} else {
				own[r][i] = random.Int32N(1<<20) - 1<<19
			}
		}
	}
	return own
}

// Check compares every rank's result with the naive sum.
func Check(t testing.TB, sum allreduce.Sum, own, results [][]int32) {
	t.Helper()
	for r, got := range results {
		if !slices.Equal(got, results[0]) {
			t.Fatalf("rank %d has other bits than rank 0", r)
		}
	}
	for i, got := range results[0] {
		if sum == allreduce.Int32 {
			want := int32(0)
			for _, v := range own {
				want += v[i]
			}
			if got != want {
				t.Fatalf("word %d is %d, the naive sum %d", i, got, want)
			}
			continue
		}
		want := 0.0
		for _, v := range own {
			want += float64(math.Float32frombits(uint32(v[i])))
		}
		if g := float64(math.Float32frombits(uint32(got))); math.Abs(g-want) > 1e-5 {
			t.Fatalf("word %d is %g, the naive sum %g", i, g, want)
		}
	}
}

func members(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func closeAll(links []allreduce.Link) {
	var wg sync.WaitGroup
	for _, l := range links {
		wg.Go(func() { l.Close() })
	}
	wg.Wait()
}

func sums(t *testing.T, worlds []int, open func(testing.TB, int) Cluster) {
	generation := uint64(0)
	for _, world := range worlds {
		cluster := open(t, world)
		for _, sum := range []allreduce.Sum{allreduce.Int32, allreduce.Float32} {
			windows := []int{1, 2, 3, 4}
			if world > 5 {
				windows = []int{3}
			}
			for _, window := range windows {
				t.Run(fmt.Sprintf("world %d, %v, window %d", world, sum, window), func(t *testing.T) {
					generation++
					links := cluster.Join(t, generation, members(world)...)
					defer closeAll(links)
					rings := Rings(t, generation, links, func(c *allreduce.Config) { c.Sum, c.Window = sum, window })
					for step, length := range []int{0, 1, world - 1, world, world + 1, 7 * world, 127, 301} {
						own := Vectors(generation, world, length, sum)
						before := clone(own)
						results, errs := Reduce(t, rings, uint64(step+1), own)
						if err := errors.Join(errs...); err != nil {
							t.Fatalf("%d words: %v", length, err)
						}
						Check(t, sum, own, results)
						same(t, before, own)
					}
				})
			}
		}
	}
}

// kill lets one member die in the middle of a reduction.
func kill(t *testing.T, open func(testing.TB, int) Cluster) {
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
			same(t, before, own)

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

// dying calls f at its n-th send and sends nothing more.
type dying struct {
	allreduce.Link
	n int
	f func()
}

func (d *dying) Send(ctx context.Context, header, payload []byte) error {
	if d.n--; d.n == 0 {
		d.f()
	}
	if d.n <= 0 {
		return errors.New("killed")
	}
	return d.Link.Send(ctx, header, payload)
}

// Abort does nothing: the dead say no farewell.
func (d *dying) Abort(error) {}

// Cutting is a Cluster whose members can be cut off from each other.
type Cutting interface {
	Cluster
	// Cut ends the way from one member to the next, as a network does: nothing that is
	// sent arrives any more, and nobody is told. Both live.
	Cut(from, to int)
}

// Cut lets the way to the next rank fail in the middle of a reduction, at each frame
// in turn. Only the rank that sends can find out, and must, whatever it waits for.
func Cut(t *testing.T, open func(t testing.TB, n int) Cutting) {
	const world, words, frames = 3, 40, 8
	for n := range frames {
		t.Run(fmt.Sprint("frame ", n), func(t *testing.T) {
			cluster := open(t, world)
			links := cluster.Join(t, 1, members(world)...)
			defer closeAll(links)
			ends := slices.Clone(links)
			ends[0] = &before{links[0], n, func() { cluster.Cut(0, 1) }}
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
					case allreduce.Blame(err) >= 0:
						t.Errorf("rank %d blames somebody, and all live: %v", r, err)
					case err == nil && r == 1:
						t.Error("rank 1 has a result without a frame")
					case err == nil: // what it lacked did not come from rank 0
						Check(t, allreduce.Int32, own, [][]int32{result})
					}
				})
			}
			if err := rings[0].AllReduce(ctx, 1, own[0], make([]int32, words)); err != nil && !errors.Is(err, allreduce.ErrSilent) {
				t.Errorf("rank 0 does not say that nothing comes from rank 1: %v", err)
			}
			select { // it may have had all that it needs
			case <-links[0].Lost():
			case <-ctx.Done():
				t.Error("rank 0 does not notice")
			}
			var peer *allreduce.PeerError
			if err := links[0].Err(); !errors.As(err, &peer) || peer.Rank != 1 || !errors.Is(err, allreduce.ErrLost) {
				t.Errorf("rank 0 does not say that rank 1 is lost: %v", err)
			}
			links[0].Abort(links[0].Err())
			links[1].Abort(errors.New("a new plan")) // before that it cannot hear of it
			others.Wait()
		})
	}
}

// before calls f before its n-th send.
type before struct {
	allreduce.Link
	n int
	f func()
}

func (b *before) Send(ctx context.Context, header, payload []byte) error {
	if b.n--; b.n == -1 {
		b.f()
	}
	return b.Link.Send(ctx, header, payload)
}

// cancelled breaks off a reduction on one rank.
func cancelled(t *testing.T, open func(testing.TB, int) Cluster) {
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
		t.Error("a dead ring reduces")
	}
}

// closed ends a link between reductions.
func closed(t *testing.T, open func(testing.TB, int) Cluster) {
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
	if _, _, err := links[leaver].Receive(ctx); err == nil || ctx.Err() != nil {
		t.Error("a closed link receives: ", err)
	}
	if err := links[leaver].Send(ctx, nil, nil); err == nil {
		t.Error("a closed link sends")
	}
}

// doneAndGone lets every rank leave as soon as it has its result: what it sent
// last must still arrive.
func doneAndGone(t *testing.T, open func(testing.TB, int) Cluster) {
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
					errs[r] = rings[r].AllReduce(ctx, 1, own[r], results[r])
					links[r].Close()
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

// spoiled alters, loses or repeats one frame of a rank: the next rank must name it,
// and every rank must end with an error.
func spoiled(t *testing.T, open func(testing.TB, int) Cluster) {
	const world, spoiler = 4, 1
	cluster := open(t, world)
	generation := uint64(0)
	for name, c := range map[string]struct {
		want error
		send func(send func(header, payload []byte) error, header, payload []byte) error
	}{
		"flipped byte of the payload": {allreduce.ErrCorrupt, func(send func(_, _ []byte) error, header, payload []byte) error {
			payload = slices.Clone(payload)
			payload[3] ^= 0x40
			return send(header, payload)
		}},
		"flipped byte of the header": {allreduce.ErrCorrupt, func(send func(_, _ []byte) error, header, payload []byte) error {
			header = slices.Clone(header)
			header[20] ^= 1
			return send(header, payload)
		}},
		"lost": {allreduce.ErrSequence, func(func(_, _ []byte) error, []byte, []byte) error { return nil }},
		"repeated": {allreduce.ErrSequence, func(send func(_, _ []byte) error, header, payload []byte) error {
			return errors.Join(send(header, payload), send(header, payload))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			generation++
			links := cluster.Join(t, generation, members(world)...)
			defer closeAll(links)
			around := slices.Clone(links)
			around[spoiler] = &spoiling{Link: links[spoiler], send: c.send}
			rings := Rings(t, generation, around, func(cfg *allreduce.Config) { cfg.Window = 16 })
			own := Vectors(1, world, 200, allreduce.Int32)
			before := clone(own)
			_, errs := Reduce(t, rings, 1, own)
			var peer *allreduce.PeerError
			if err := errs[spoiler+1]; !errors.Is(err, c.want) || !errors.As(err, &peer) || peer.Rank != spoiler {
				t.Errorf("rank %d says %v, not %v by rank %d", spoiler+1, err, c.want, spoiler)
			}
			for r, err := range errs {
				if err == nil {
					t.Errorf("rank %d has no error", r)
				}
			}
			same(t, before, own)
		})
	}
}

// spoiling sends its fifth frame by send.
type spoiling struct {
	allreduce.Link
	sent int
	send func(send func(header, payload []byte) error, header, payload []byte) error
}

func (s *spoiling) Send(ctx context.Context, header, payload []byte) error {
	send := func(header, payload []byte) error { return s.Link.Send(ctx, header, payload) }
	if s.sent++; s.sent == 5 {
		return s.send(send, header, payload)
	}
	return send(header, payload)
}

// late sends frames of an old generation into a new one.
func late(t *testing.T, open func(testing.TB, int) Cluster) {
	const world = 3
	cluster := open(t, world)
	old := cluster.Join(t, 1, members(world)...)
	defer closeAll(old)
	links := cluster.Join(t, 2, members(world)...)
	defer closeAll(links)
	rings := Rings(t, 2, links, nil)
	for step := range uint64(5) {
		for r, l := range old {
			header := allreduce.Frame{
				Run: allreduce.RunHash("test"), Generation: 1, Step: step, Rank: r, World: world,
				Transfer: allreduce.Transfer{Phase: allreduce.ReduceScatter, Length: 1},
			}.Encode(make([]byte, 4))
			if err := l.Send(t.Context(), header[:], make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
		}
		own := Vectors(step, world, 50, allreduce.Int32)
		results, errs := Reduce(t, rings, step+1, own)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		Check(t, allreduce.Int32, own, results)
	}
}

// nothingLeft counts goroutines after generations that ended well and badly.
func nothingLeft(t *testing.T, open func(testing.TB, int) Cluster) {
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
	once(false) // what a cluster starts once is not a leak
	before := settled()
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

// settled returns the number of goroutines once it no longer falls.
func settled() int {
	n := runtime.NumGoroutine()
	for calm := 0; calm < 20; calm++ {
		time.Sleep(time.Millisecond)
		if m := runtime.NumGoroutine(); m < n {
			n, calm = m, 0
		}
	}
	return n
}

func clone(v [][]int32) [][]int32 {
	c := make([][]int32, len(v))
	for i := range v {
		c[i] = slices.Clone(v[i])
	}
	return c
}

func same(t testing.TB, before, after [][]int32) {
	t.Helper()
	for r := range before {
		if !slices.Equal(before[r], after[r]) {
			t.Fatalf("the own vector of rank %d was written", r)
		}
	}
}
