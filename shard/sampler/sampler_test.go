package sampler

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gramme-project/gramme/shard"
)

// TestPure: a batch depends on seed, step and index alone, whatever was asked
// before, and from several goroutines.
func TestPure(t *testing.T) {
	c := newCorpus(t, 1, 32, 30, 20, 25, 40, 10)
	cfg := Config{Seed: 5, Rows: 6, Seq: 32, MicroBatches: 4, Window: 2}
	type key struct {
		step  uint64
		index int
	}
	want := map[key]Batch{}
	s := c.sampler(t, cfg)
	var keys []key
	for step := range uint64(20) { // several epochs
		for index := range 4 {
			k := key{step, index}
			want[k] = batch(t, s, step, index)
			keys = append(keys, k)
		}
	}
	for seed := range uint64(3) {
		s := c.sampler(t, cfg)
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		var wg sync.WaitGroup
		for part := range slices.Chunk(keys, len(keys)/2) {
			wg.Go(func() {
				for _, k := range part {
					if got, err := s.Batch(k.step, k.index); err != nil || !reflect.DeepEqual(got, want[k]) {
						t.Errorf("step %d, micro-batch %d differs: %v", k.step, k.index, err)
					}
				}
			})
		}
		wg.Wait()
	}
	// Another seed or step gives another batch.
	cfg.Seed++
	if reflect.DeepEqual(batch(t, c.sampler(t, cfg), 0, 0), want[key{0, 0}]) {
		t.Error("the seed does not matter")
	}
}

// TestDealing: how samples are dealt to steps, micro-batches and rows does not
// change them.
func TestDealing(t *testing.T) {
	c := newCorpus(t, 2, 32, 50, 30)
	draw := func(rowsOf, micro int) []int64 {
		s := c.sampler(t, Config{Seed: 8, Rows: rowsOf, Seq: 32, MicroBatches: micro, Window: 1})
		var ids []int64
		for n := 0; n < 240; n += rowsOf {
			i := n / rowsOf
			ids = append(ids, batch(t, s, uint64(i/micro), i%micro).IDs...)
		}
		return ids
	}
	want := draw(1, 1)
	for _, deal := range [][2]int{{24, 1}, {3, 5}, {8, 10}} {
		if !slices.Equal(draw(deal[0], deal[1]), want) {
			t.Errorf("%d rows, %d micro-batches: other samples", deal[0], deal[1])
		}
	}
}

// TestGolden pins the draws: a resumed run must get the same batches from every
// later version.
func TestGolden(t *testing.T) {
	c := newCorpus(t, 1, 32, 30, 20, 25)
	h := sha256.New()
	for _, whole := range []bool{false, true} {
		s := c.sampler(t, Config{Seed: 42, Rows: 8, Seq: 32, MicroBatches: 2, Window: 2, WholeWord: whole})
		for _, step := range []uint64{0, 1, 7, 1 << 33} {
			for index := range 2 {
				b := batch(t, s, step, index)
				for _, f := range [][]int64{b.IDs, b.Types, b.Mask, b.Positions, b.Labels, b.Next} {
					if err := binary.Write(h, binary.LittleEndian, f); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	const want = "76a83352dceaedbc7895797e0d7c2527fa206d24753a7b22cfb2cd8fc2211a6c"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the batches have the hash %s, want %s", got, want)
	}
}

// TestSeek: any step costs the load of its own windows, near or far.
func TestSeek(t *testing.T) {
	sizes := slices.Repeat([]int{25}, 40)
	c := newCorpus(t, 3, 16, sizes...)
	for _, step := range []uint64{0, 3, 1000, 1 << 40, 1 << 50} {
		c.loads = nil
		s := c.sampler(t, Config{Seed: 2, Rows: 5, Seq: 16, MicroBatches: 4, Window: 4})
		batch(t, s, step, 2)
		if len(c.loads) < 4 || len(c.loads) > 8 {
			t.Errorf("step %d loaded %d shards", step, len(c.loads))
		}
	}
}

// TestMemory: no more than two windows are kept, and in order each shard is
// loaded once an epoch.
func TestMemory(t *testing.T) {
	c := newCorpus(t, 4, 16, slices.Repeat([]int{20}, 12)...)
	s := c.sampler(t, Config{Seed: 2, Rows: 4, Seq: 16, MicroBatches: 5, Window: 3})
	for step := range uint64(24) { // two epochs
		for index := range 5 {
			batch(t, s, step, index)
			if len(s.windows) > keptWindows {
				t.Fatalf("%d windows in memory", len(s.windows))
			}
		}
		if step == 11 && (len(c.loads) != 12 || len(slices.Compact(slices.Sorted(slices.Values(c.loads)))) != 12) {
			t.Errorf("an epoch loaded %v", c.loads)
		}
	}
	if len(c.loads) > 24 {
		t.Errorf("two epochs loaded %d shards of 12", len(c.loads))
	}

	// A corpus of one window is loaded once for all.
	c = newCorpus(t, 4, 16, 20, 20, 20)
	s = c.sampler(t, Config{Seed: 2, Rows: 4, Seq: 16, MicroBatches: 5})
	for step := range uint64(30) {
		batch(t, s, step, 0)
	}
	if len(c.loads) != 3 {
		t.Errorf("a corpus of one window was loaded in %d pieces", len(c.loads))
	}
}

// TestEvaluation: the same predictions whatever the run's seed, every chunk of a
// small split once, the rest filled up.
func TestEvaluation(t *testing.T) {
	c := newCorpus(t, 6, 24, 17, 6)
	eval := func(cfg Config) (*Sampler, int) {
		s, n, err := NewEvaluation(filled(cfg), c.manifest, c.vocab, c.load)
		if err != nil {
			t.Fatal(err)
		}
		return s, n
	}
	first, n := eval(Config{Seed: 1, Rows: 4, Seq: 48, MicroBatches: 100})
	second, _ := eval(Config{Seed: 2, Rows: 4, Seq: 48, MicroBatches: 100})
	if n != 6 || first.cfg.Split != "validation" {
		t.Errorf("%d batches of %s, want 6 of 23 chunks", n, first.cfg.Split)
	}
	seen := map[int]int{}
	for i := range n {
		b := batch(t, first, 0, i)
		if !reflect.DeepEqual(b, batch(t, second, 0, i)) {
			t.Errorf("batch %d depends on the seed of the run", i)
		}
		for _, r := range rows(t, b) {
			seen[c.from[r.a[0]].chunk]++
		}
	}
	if len(seen) != 23 {
		t.Errorf("%d chunks of 23 were measured", len(seen))
	}
	if _, n := eval(Config{Rows: 4, Seq: 48, MicroBatches: 3}); n != 3 {
		t.Errorf("%d batches, want the 3 asked for", n)
	}
	if _, _, err := NewEvaluation(filled(Config{Rows: 4, Seq: 48, MicroBatches: 3, Split: "test"}), c.manifest, c.vocab, c.load); err == nil || !strings.Contains(err.Error(), "the test split is empty") {
		t.Errorf("an empty split: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	c := newCorpus(t, 7, 24, 10, 10)
	ok := filled(Config{Rows: 2, Seq: 24, MicroBatches: 2})
	for _, k := range []struct {
		want   string
		change func(cfg *Config, m *shard.Manifest)
	}{
		{"0 rows", func(cfg *Config, _ *shard.Manifest) { cfg.Rows = 0 }},
		{"sequence length 4", func(cfg *Config, _ *shard.Manifest) { cfg.Seq = 4 }},
		{"0 micro-batches", func(cfg *Config, _ *shard.Manifest) { cfg.MicroBatches = 0 }},
		{"mask probability 1,", func(cfg *Config, _ *shard.Manifest) { cfg.MaskProb = 1 }},
		{"final mask probability 1,", func(cfg *Config, _ *shard.Manifest) { cfg.FinalMaskProb = 1 }},
		{"max predictions -1", func(cfg *Config, _ *shard.Manifest) { cfg.MaxPredictions = -1 }},
		{"window of -1 shards", func(cfg *Config, _ *shard.Manifest) { cfg.Window = -1 }},
		{`split "dev"`, func(cfg *Config, _ *shard.Manifest) { cfg.Split = "dev" }},
		{"sequence length 16, but the corpus was prepared for 24", func(cfg *Config, _ *shard.Manifest) { cfg.Seq = 16 }},
		{"but the corpus was prepared with 9", func(_ *Config, m *shard.Manifest) { m.VocabSize = 9 }},
		{"the train split is empty", func(_ *Config, m *shard.Manifest) { m.Splits.Train.Shards = nil }},
		{"shard train-00000.shard has no chunks", func(_ *Config, m *shard.Manifest) {
			m.Splits.Train.Shards = slices.Clone(m.Splits.Train.Shards)
			m.Splits.Train.Shards[0].Chunks = 0
		}},
	} {
		cfg, m := ok, c.manifest
		k.change(&cfg, &m)
		if _, err := New(cfg, m, c.vocab, c.load); err == nil || !strings.HasPrefix(err.Error(), "sampler: ") || !strings.Contains(err.Error(), k.want) {
			t.Errorf("got %v, want %q", err, k.want)
		}
	}
	s := c.sampler(t, ok)
	for _, index := range []int{-1, 2} {
		if _, err := s.Batch(0, index); err == nil {
			t.Errorf("micro-batch %d of 2 is there", index)
		}
	}
}

// TestLoadErrors: a shard that cannot be loaded, or is another one, is an error
// that names it; the next call tries again.
func TestLoadErrors(t *testing.T) {
	c := newCorpus(t, 8, 24, 10, 12)
	other := newCorpus(t, 8, 32, 10, 12)
	small := newCorpus(t, 9, 24, 10, 3)
	gone := errors.New("fetch shard train-00001.shard: gone")
	for _, k := range []struct {
		want string
		load func(i int) (*shard.Shard, error)
	}{
		{"sampler: fetch shard train-00001.shard: gone", func(i int) (*shard.Shard, error) { return nil, gone }},
		{"load shard train-00001.shard: nothing loaded", func(i int) (*shard.Shard, error) { return nil, nil }},
		{"the manifest says 12 and", func(i int) (*shard.Shard, error) { return small.shards[i], nil }},
		{"load shard train-00001.shard: ", func(i int) (*shard.Shard, error) { return other.shards[i], nil }},
	} {
		broken := true
		s, err := New(filled(Config{Rows: 2, Seq: 24, MicroBatches: 2}), c.manifest, c.vocab, func(i int) (*shard.Shard, error) {
			if i == 1 && broken {
				return k.load(i)
			}
			return c.shards[i], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Batch(0, 0); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("got %v, want %q", err, k.want)
		}
		broken = false
		if got := batch(t, s, 0, 0); !reflect.DeepEqual(got, batch(t, c.sampler(t, s.cfg), 0, 0)) {
			t.Errorf("after %q: another batch", k.want)
		}
	}
}

// BenchmarkBatch draws micro-batches of 32 rows of 128 tokens in order, with
// windows of 8 shards of 1000 chunks.
func BenchmarkBatch(b *testing.B) {
	c := newCorpus(b, 1, 128, slices.Repeat([]int{1000}, 16)...)
	s := c.sampler(b, Config{Seed: 1, Rows: 32, Seq: 128, MicroBatches: 8})
	tokens := 0
	step := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		tokens += batch(b, s, step/8, int(step%8)).Tokens
		step++
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkWindow enters a new window with each batch.
func BenchmarkWindow(b *testing.B) {
	c := newCorpus(b, 1, 128, slices.Repeat([]int{1000}, 24)...)
	s := c.sampler(b, Config{Seed: 1, Rows: 32, Seq: 128, MicroBatches: 8})
	step := uint64(0)
	for b.Loop() {
		batch(b, s, step, 0)
		step += 8000/(32*8) + 1
	}
}
