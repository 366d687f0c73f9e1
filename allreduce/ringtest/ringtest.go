// Package ringtest is the conformance suite of allreduce.Link: what a ring must do over
// every kind of link. It also has a network that can be cut.
package ringtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
)

// patience bounds operations that should take milliseconds, so that a defect fails a
// test instead of hanging it.
const patience = 20 * time.Second

// Cluster is a set of members that can form rings.
type Cluster interface {
	// Join makes a ring of these members, the rank is the index, and returns
	// their links.
	Join(t testing.TB, generation uint64, members ...int) []allreduce.Link
	// Kill ends a member as the death of its process would.
	Kill(member int)
}

// Run runs the suite. open makes a cluster of n members and registers its cleanup;
// worlds are the sizes to try.
func Run(t *testing.T, worlds []int, open func(t testing.TB, n int) Cluster) {
	t.Run("sums", func(t *testing.T) { sums(t, worlds, open) })
	t.Run("kill", func(t *testing.T) { killedMember(t, open) })
	t.Run("cancel", func(t *testing.T) { cancelledReduction(t, open) })
	t.Run("close", func(t *testing.T) { closedLink(t, open) })
	t.Run("done and gone", func(t *testing.T) { leaveWithResult(t, open) })
	t.Run("spoiled frames", func(t *testing.T) { corruptedFrames(t, open) })
	t.Run("late frames", func(t *testing.T) { staleFrames(t, open) })
	t.Run("nothing left", func(t *testing.T) { noLeaks(t, open) })
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
		if sum != allreduce.Float32 {
			want := int32(0)
			for _, v := range own {
				if sum == allreduce.Int32 {
					want += v[i]
				} else {
					want = int32(uint32(uint16(want)+uint16(v[i])) | (uint32(want)>>16+uint32(v[i])>>16)<<16)
				}
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
		for _, sum := range []allreduce.Sum{allreduce.Int32, allreduce.Float32, allreduce.Int16} {
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
						unchanged(t, before, own)
					}
				})
			}
		}
	}
}

func clone(v [][]int32) [][]int32 {
	c := make([][]int32, len(v))
	for i := range v {
		c[i] = slices.Clone(v[i])
	}
	return c
}

func unchanged(t testing.TB, before, after [][]int32) {
	t.Helper()
	for r := range before {
		if !slices.Equal(before[r], after[r]) {
			t.Fatalf("the own vector of rank %d was written", r)
		}
	}
}
