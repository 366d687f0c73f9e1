package simulation

import (
	"flag"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	oneSeed  = flag.Int64("seed", -1, "the one seed that TestSeed plays")
	allSeeds = flag.Int("seeds", 0, "how many seeds TestSeeds plays")
)

// show tells of a seed that failed: the end of what happened, and how to see it
// again.
func show(t *testing.T, seed uint64, lines int) {
	t.Helper()
	o := Run(seed, NoBug, true)
	t.Errorf("seed %d: %v\n%s\nreplay: go test ./trials/simulation -run 'TestSeed$' -seed=%d -v",
		seed, o.Failure, strings.Join(o.Transcript[max(0, len(o.Transcript)-lines):], "\n"), seed)
}

// sum is what many seeds came to.
type sum struct {
	sync.Mutex
	failed         *Outcome // that of the lowest seed that is known to fail
	events, faults int
	rebalanced     int           // seeds in which the shares followed the speeds
	settled        time.Duration // the longest
}

func (s *sum) add(o Outcome) {
	s.Lock()
	defer s.Unlock()
	s.events += o.Events
	s.faults += o.Faults
	if o.Rebalanced > 0 {
		s.rebalanced++
	}
	s.settled = max(s.settled, o.Settled)
	if o.Failure != nil && (s.failed == nil || o.Seed < s.failed.Seed) {
		s.failed = &o
	}
}

// each plays seeds from 0 on all cores until one fails.
func each(seeds int, bug Bug) *sum {
	var next atomic.Int64
	var work sync.WaitGroup
	all := &sum{}
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for {
				seed := uint64(next.Add(1) - 1)
				if seed >= uint64(seeds) {
					return
				}
				o := Run(seed, bug, false)
				if all.add(o); o.Failure != nil {
					next.Store(int64(seeds))
				}
			}
		})
	}
	work.Wait()
	return all
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
	all := each(seeds, NoBug)
	if all.failed != nil {
		show(t, all.failed.Seed, 60)
		return
	}
	if all.rebalanced < seeds/200 {
		t.Errorf("shares followed the speeds in %d of %d seeds", all.rebalanced, seeds)
	}
	t.Logf("%d seeds (%d with shares that follow speeds), %d faults, %d events, all over within %s of the last fault; %.0f seeds a second",
		seeds, all.rebalanced, all.faults, all.events, all.settled.Round(time.Second), float64(seeds)/time.Since(begun).Seconds())
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

// TestASeedIsPlayedAgain compares two transcripts of each of some seeds.
func TestASeedIsPlayedAgain(t *testing.T) {
	for seed := range uint64(40) {
		one, two := Run(seed, NoBug, true), Run(seed, NoBug, true)
		if !slices.Equal(one.Transcript, two.Transcript) || one.Events != two.Events {
			t.Errorf("seed %d is not the same twice", seed)
		}
	}
}
