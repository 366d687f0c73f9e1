package shells

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/shard"
)

var (
	oneSeed  = flag.Int64("seed", -1, "the one seed that TestSeed plays")
	allSeeds = flag.Int("seeds", 0, "how many seeds TestSeeds plays")
)

// maxSeq is the length of a sequence.
const maxSeq = 16

// corpus is a prepared folder that all runs share.
var corpus struct {
	dir      string
	manifest shard.Manifest
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "shells")
		if err == nil {
			defer os.RemoveAll(dir)
			err = prepare(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		debug.SetGCPercent(400) // seeds make garbage, and little else
		return m.Run()
	}())
}

func prepare(dir string) error {
	if err := os.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data")); err != nil { // no keys among this user's
		return err
	}
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "The cat number %d sat on the mat. It saw %d mice there.\n\n", i, i*i)
	}
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(b.String()), 0o600); err != nil {
		return err
	}
	corpus.dir = filepath.Join(dir, "corpus")
	_, err := shard.Prepare(context.Background(), shard.PrepareOptions{
		Inputs: []string{text}, OutDir: corpus.dir, VocabSize: 64, Lowercase: true, MaxSeq: maxSeq, ShardTokens: 1000, Seed: 1,
	})
	if err != nil {
		return err
	}
	corpus.manifest, err = shard.OpenManifest(corpus.dir)
	return err
}

// play plays one run in a bubble of its own.
func play(t *testing.T, begin func(dir string) (*cluster, error), verbose bool) *cluster {
	t.Helper()
	dir := t.TempDir()
	var c *cluster
	synctest.Test(t, func(t *testing.T) {
		var err error
		if c, err = begin(dir); err != nil {
			t.Fatal(err)
		}
		c.run()
		if c.failed() == nil {
			c.audit()
		}
		if verbose {
			t.Log("\n" + c.journal.last(1<<20))
		}
		if err := c.failed(); err != nil {
			t.Errorf("seed %d: %v\n%s\nplay it again: go test ./trials/shells -run 'TestSeed$' -seed=%d -v", c.seed, err, c.journal.last(80), c.seed)
		}
	})
	return c
}

// TestARunOfOneWorker has nothing go wrong.
func TestARunOfOneWorker(t *testing.T) {
	play(t, func(dir string) (*cluster, error) {
		return newCluster(1, dir, setup{workers: 1, coordinators: 1, microBatches: 3, steps: 6, saveEvery: time.Second, compute: 20 * time.Millisecond})
	}, testing.Verbose())
}

// drawn makes the run of a seed, and draws how much goes wrong.
func drawn(seed uint64) func(dir string) (*cluster, error) {
	return func(dir string) (*cluster, error) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c, err := newCluster(seed, dir, setup{
			workers: 1 + rng.IntN(4), coordinators: 1 + rng.IntN(2), microBatches: 3 + rng.IntN(3), steps: uint64(10 + 10*rng.IntN(4)),
			saveEvery: time.Duration(200+rng.IntN(2800)) * time.Millisecond, compute: time.Duration(20+rng.IntN(180)) * time.Millisecond,
			uneven: rng.IntN(2) == 0,
		})
		if err == nil {
			c.faults.left = c.rng.IntN(12)
			c.faults.quiet = time.Now()
		}
		return c, err
	}
}

// TestSeeds plays many seeds, on all cores.
func TestSeeds(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 20
	}
	if *allSeeds > 0 {
		seeds = *allSeeds
	}
	var next, faults atomic.Int64
	t.Run("all", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("seeds", func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; seed < int64(seeds) && !t.Failed(); seed = next.Add(1) - 1 {
					t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
						faults.Add(int64(play(t, drawn(uint64(seed)), false).faults.seen))
					})
				}
			})
		}
	})
	t.Logf("%d seeds, %d faults", seeds, faults.Load())
}

// TestSeed plays one seed and shows all that happened.
func TestSeed(t *testing.T) {
	if *oneSeed < 0 {
		t.Log("-seed=N says which")
		return
	}
	play(t, drawn(uint64(*oneSeed)), true)
}
