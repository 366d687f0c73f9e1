package sampler

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/shard"
)

// testCorpus is a corpus in memory in which every token occurs once, so that a
// token tells the chunk and the place that it came from.
type testCorpus struct {
	manifest shard.Manifest
	shards   []*shard.Shard
	vocab    *Vocabulary
	chunks   []testChunk
	from     map[int64]origin // by token
	loads    []int            // the shards loaded, in order
}

type testChunk struct {
	shard    int
	document uint64
	tokens   []int32
	bounds   []int
}

type origin struct{ chunk, at int }

const (
	pad, unk, cls, sep, mask = 0, 1, 2, 3, 4
	firstWord                = 5
)

// isPiece says which tokens of the test vocabulary continue a word.
func isPiece(token int64) bool { return token >= firstWord && token%4 == 3 }

func testVocabulary(t testing.TB, size int) *Vocabulary {
	t.Helper()
	tokens := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	for i := firstWord; i < size; i++ {
		if isPiece(int64(i)) {
			tokens = append(tokens, fmt.Sprintf("##p%d", i))
		} else {
			tokens = append(tokens, fmt.Sprintf("w%d", i))
		}
	}
	v, err := NewVocabulary(tokens)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newCorpus makes shards of the given numbers of chunks.
func newCorpus(t testing.TB, seed uint64, maxSeq int, sizes ...int) *testCorpus {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	c := &testCorpus{from: map[int64]origin{}}
	next, document := int32(firstWord), uint64(0)
	for i, n := range sizes {
		for range n {
			if r.IntN(3) == 0 {
				document++
			}
			k := testChunk{shard: i, document: document}
			single := r.IntN(4) == 0
			for at := range 2 + r.IntN(maxSeq-4) {
				if at > 0 && !single && r.IntN(6) == 0 {
					k.bounds = append(k.bounds, at)
				}
				c.from[int64(next)] = origin{len(c.chunks), at}
				k.tokens = append(k.tokens, next)
				next++
			}
			c.chunks = append(c.chunks, k)
		}
	}
	c.vocab = testVocabulary(t, int(next))
	split := c.encode(t, maxSeq, int(next), len(sizes))
	c.manifest = shard.Manifest{
		Version: shard.ManifestVersion, VocabSize: int(next), MaxSeq: maxSeq,
		Splits: shard.Splits{Train: split, Validation: split},
	}
	if err := c.manifest.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *testCorpus) encode(t testing.TB, maxSeq, vocab, n int) (split shard.Split) {
	t.Helper()
	for i := range n {
		b := shard.NewBuilder(maxSeq, vocab)
		for _, k := range c.chunks {
			if k.shard != i {
				continue
			}
			if err := b.Add(k.document, k.tokens, k.bounds); err != nil {
				t.Fatal(err)
			}
		}
		encoded := b.Encode()
		s, err := shard.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		c.shards = append(c.shards, s)
		sum := sha256.Sum256(encoded)
		split.Shards = append(split.Shards, shard.ShardInfo{
			Name: fmt.Sprintf("train-%05d.shard", i), SHA256: hex.EncodeToString(sum[:]),
			Bytes: int64(len(encoded)), Chunks: s.Chunks(), Tokens: int64(s.Tokens()),
		})
		split.Chunks += int64(s.Chunks())
		split.Tokens += int64(s.Tokens())
	}
	return split
}

func (c *testCorpus) load(i int) (*shard.Shard, error) {
	c.loads = append(c.loads, i)
	return c.shards[i], nil
}

func (c *testCorpus) sampler(t testing.TB, cfg Config) *Sampler {
	t.Helper()
	s, err := New(filled(cfg), c.manifest, c.vocab, c.load)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// filled gives the usual values to what a test leaves open.
func filled(c Config) Config {
	c.MaskProb = cmp.Or(c.MaskProb, 0.15)
	c.MaxPredictions = cmp.Or(c.MaxPredictions, int(math.Ceil(c.MaskProb*float64(c.Seq))))
	c.Window = cmp.Or(c.Window, 8)
	return c
}

// row is one sample, with its masks undone.
type row struct {
	a, b   []int64
	next   int64
	masked []int64 // the original tokens
}

// rows takes a batch apart and checks its shape.
func rows(t testing.TB, b Batch) []row {
	t.Helper()
	size := b.Rows * b.Seq
	if len(b.IDs) != size || len(b.Types) != size || len(b.Mask) != size || len(b.Next) != b.Rows || len(b.Positions) != len(b.Labels) {
		t.Fatalf("a batch of %d rows of %d has fields of %d, %d, %d, %d, %d and %d", b.Rows, b.Seq,
			len(b.IDs), len(b.Types), len(b.Mask), len(b.Next), len(b.Positions), len(b.Labels))
	}
	if !slices.IsSorted(b.Positions) || len(slices.Compact(slices.Clone(b.Positions))) != len(b.Positions) {
		t.Fatalf("positions %v do not ascend", b.Positions)
	}
	ids := slices.Clone(b.IDs)
	for i, p := range b.Positions {
		ids[p] = b.Labels[i]
	}
	out := make([]row, b.Rows)
	tokens := 0
	for i := range out {
		from, to := i*b.Seq, (i+1)*b.Seq
		line := ids[from:to]
		n := slices.Index(line, pad)
		if n < 0 {
			n = b.Seq
		}
		first := slices.Index(line, sep)
		if line[0] != cls || first < 1 || line[n-1] != sep || n-1 == first {
			t.Fatalf("row %d is no [CLS] A [SEP] B [SEP]: %v", i, line)
		}
		out[i] = row{a: line[1:first], b: line[first+1 : n-1], next: b.Next[i]}
		for c := range b.Seq {
			wantType, wantMask := int64(0), int64(0)
			if c < n {
				wantMask = 1
				if c > first {
					wantType = 1
				}
			} else if line[c] != pad {
				t.Fatalf("row %d: token %d after the end", i, line[c])
			}
			if b.Types[from+c] != wantType || b.Mask[from+c] != wantMask {
				t.Fatalf("row %d, column %d: type %d, mask %d", i, c, b.Types[from+c], b.Mask[from+c])
			}
		}
		for j, p := range b.Positions {
			if p >= int64(from) && p < int64(to) {
				out[i].masked = append(out[i].masked, b.Labels[j])
			}
		}
		tokens += n
	}
	if tokens != b.Tokens {
		t.Fatalf("%d tokens, the batch says %d", tokens, b.Tokens)
	}
	return out
}

func batch(t testing.TB, s *Sampler, step uint64, index int) Batch {
	t.Helper()
	b, err := s.Batch(step, index)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
