package simulation

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	oneSeed  = flag.Int64("seed", -1, "the one seed that TestSeed plays")
	update   = flag.Bool("update", false, "rewrite the transcripts in testdata")
	allSeeds = flag.Int("seeds", 0, "how many seeds TestSeeds plays")
)

// show tells of a seed that failed: the end of what happened, and how to see it
// again.
func show(t *testing.T, seed uint64, lines int) {
	t.Helper()
	o := Run(seed, NoBug, true)
	t.Errorf("seed %d: %v\n%s\nreplay: go test ./internal/simulation -run 'TestSeed$' -seed=%d -v",
		seed, o.Failure, strings.Join(o.Transcript[max(0, len(o.Transcript)-lines):], "\n"), seed)
}

// each plays seeds from 0 on all cores until one fails, which it returns.
func each(seeds int, bug Bug) (failed *Outcome, events int64) {
	var next, sum atomic.Int64
	var mu sync.Mutex
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for {
				seed := uint64(next.Add(1) - 1)
				if seed >= uint64(seeds) {
					return
				}
				o := Run(seed, bug, false)
				sum.Add(int64(o.Events))
				if o.Failure == nil {
					continue
				}
				next.Store(int64(seeds))
				mu.Lock()
				if failed == nil || o.Seed < failed.Seed {
					failed = &o
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return failed, sum.Load()
}

// TestSeeds plays many seeds.
func TestSeeds(t *testing.T) {
	seeds := 10000
	if testing.Short() {
		seeds = 500
	}
	if *allSeeds > 0 {
		seeds = *allSeeds
	}
	begun := time.Now()
	failed, events := each(seeds, NoBug)
	if failed != nil {
		show(t, failed.Seed, 60)
		return
	}
	t.Logf("%d seeds, %d events, %.0f seeds a second", seeds, events, float64(seeds)/time.Since(begun).Seconds())
}

// TestSeed plays one seed and shows all that happened.
func TestSeed(t *testing.T) {
	if *oneSeed < 0 {
		t.Log("-seed=N says which")
		return
	}
	o := Run(uint64(*oneSeed), NoBug, true)
	t.Log("\n" + strings.Join(o.Transcript, "\n"))
	if o.Failure != nil {
		t.Error(o.Failure)
	}
}
