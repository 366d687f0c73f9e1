package shard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plainChunk is a chunk as the test remembers it.
type plainChunk struct {
	document uint64
	tokens   []int32
	bounds   []int
}

func randomChunks(r *rand.Rand, n, maxSeq, vocab int) []plainChunk {
	out := make([]plainChunk, n)
	for i := range out {
		c := plainChunk{document: r.Uint64()}
		for range 1 + r.IntN(maxSeq-3) {
			c.tokens = append(c.tokens, int32(r.IntN(vocab)))
		}
		for at := 1; at < len(c.tokens); at++ {
			if r.IntN(4) == 0 {
				c.bounds = append(c.bounds, at)
			}
		}
		out[i] = c
	}
	return out
}

func encodeChunks(t testing.TB, chunks []plainChunk, maxSeq, vocab int) []byte {
	t.Helper()
	b := NewBuilder(maxSeq, vocab)
	for _, c := range chunks {
		if err := b.Add(c.document, c.tokens, c.bounds); err != nil {
			t.Fatal(err)
		}
	}
	return b.Encode()
}

func checkShard(t *testing.T, s *Shard, want []plainChunk) {
	t.Helper()
	if s.Chunks() != len(want) {
		t.Fatalf("%d chunks, want %d", s.Chunks(), len(want))
	}
	total := 0
	for i, w := range want {
		n := s.Len(i)
		var bounds []int
		for j := range s.Bounds(i) {
			bounds = append(bounds, s.Bound(i, j))
		}
		if got := s.AppendTokens(nil, i, 0, n); s.Document(i) != w.document || !slices.Equal(got, w.tokens) || !slices.Equal(bounds, w.bounds) {
			t.Fatalf("chunk %d is not what was added", i)
		}
		if got := s.AppendTokens([]int32{-1}, i, n/2, n); !slices.Equal(got[1:], w.tokens[n/2:]) || got[0] != -1 {
			t.Fatalf("chunk %d: its second half is not what was added", i)
		}
		total += n
	}
	if s.Tokens() != total {
		t.Fatalf("%d tokens, want %d", s.Tokens(), total)
	}
}

func TestShardRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct{ chunks, maxSeq, vocab int }{
		{0, 8, 5}, {1, 8, 5}, {200, 128, 1 << 16}, {200, 64, 1<<16 + 1}, {3, 1 << 15, 30522},
	} {
		want := randomChunks(r, c.chunks, c.maxSeq, c.vocab)
		encoded := encodeChunks(t, want, c.maxSeq, c.vocab)
		s, err := Decode(encoded)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if s.MaxSeq() != c.maxSeq || s.VocabSize() != c.vocab {
			t.Errorf("%+v: max_seq %d, vocabulary %d", c, s.MaxSeq(), s.VocabSize())
		}
		checkShard(t, s, want)

		path := filepath.Join(t.TempDir(), "x.shard")
		if err := os.WriteFile(path, encoded, 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err = OpenShard(path, sha256Hex(encoded)); err != nil {
			t.Fatal(err)
		}
		checkShard(t, s, want)
	}
}

func TestBuilderReset(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	first, second := randomChunks(r, 20, 32, 100), randomChunks(r, 10, 32, 100)
	b := NewBuilder(32, 100)
	for _, list := range [][]plainChunk{first, second} {
		tokens := 0
		for _, c := range list {
			if err := b.Add(c.document, c.tokens, c.bounds); err != nil {
				t.Fatal(err)
			}
			tokens += len(c.tokens)
		}
		if b.Chunks() != len(list) || b.Tokens() != tokens {
			t.Errorf("%d chunks of %d tokens, want %d of %d", b.Chunks(), b.Tokens(), len(list), tokens)
		}
		s, err := Decode(b.Encode())
		if err != nil {
			t.Fatal(err)
		}
		checkShard(t, s, list)
		b.Reset()
	}
}

func TestBuilderRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		tokens []int32
		bounds []int
	}{
		{"no tokens", nil, nil},
		{"too many tokens", make([]int32, 6), nil},
		{"a token outside the vocabulary", []int32{1, 10}, nil},
		{"a negative token", []int32{-1}, nil},
		{"a bound at 0", []int32{1, 2}, []int{0}},
		{"a bound at the end", []int32{1, 2}, []int{2}},
		{"a bound twice", []int32{1, 2, 3}, []int{1, 1}},
	} {
		b := NewBuilder(8, 10)
		if err := b.Add(1, c.tokens, c.bounds); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if b.Chunks() != 0 || b.Tokens() != 0 {
			t.Errorf("%s: something was added", c.name)
		}
	}
}

// TestEveryByteCounts flips each bit pattern of each byte of a small shard, and
// cuts it at each length.
func TestEveryByteCounts(t *testing.T) {
	encoded := encodeChunks(t, randomChunks(rand.New(rand.NewPCG(7, 8)), 12, 24, 300), 24, 300)
	for i := range encoded {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(encoded)
			bad[i] ^= flip
			if _, err := Decode(bad); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d ^ %#x: %v", i, flip, err)
			}
		}
		if _, err := Decode(encoded[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Decode(append(bytes.Clone(encoded), 0)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("one byte more: %v", err)
	}
}

// resign gives a shard that was tampered with a valid checksum, so that the rules
// of the format are put to the test and not CRC32C.
func resign(b []byte) []byte {
	body := b[:len(b)-trailerSize]
	binary.LittleEndian.PutUint32(b[len(body):], crc32.Checksum(body, castagnoli))
	return b
}

func TestDecodeReasons(t *testing.T) {
	good := encodeChunks(t, []plainChunk{
		{1, []int32{1, 2, 3, 4}, []int{2}}, {2, []int32{5, 6}, nil},
	}, 16, 300)
	le := binary.LittleEndian
	for _, c := range []struct {
		want   string
		change func(b []byte) []byte
	}{
		{"truncated", func(b []byte) []byte { return b[:40] }},
		{"not a shard", func(b []byte) []byte { b[0] = 'X'; return b }},
		{"format 9, this program reads format 1", func(b []byte) []byte { le.PutUint16(b[8:], 9); return b }},
		{"checksum mismatch", func(b []byte) []byte { b[70]++; return b }},
		{"impossible header", func(b []byte) []byte { le.PutUint16(b[10:], 4); return resign(b) }},
		{"impossible header", func(b []byte) []byte { le.PutUint32(b[12:], 7); return resign(b) }},
		{"reserved bytes", func(b []byte) []byte { b[50] = 1; return resign(b) }},
		{"counts do not match", func(b []byte) []byte { le.PutUint64(b[24:], 1<<62); return resign(b) }},
		{"counts do not match", func(b []byte) []byte { le.PutUint64(b[40:], 1<<63); return resign(b) }},
		{"chunk 0 has impossible offsets", func(b []byte) []byte { le.PutUint32(b[72:], 0); return resign(b) }},
		{"chunk 1 has impossible offsets", func(b []byte) []byte { le.PutUint32(b[72:], 6); return resign(b) }},
		{"chunk 0 has an impossible sentence boundary", func(b []byte) []byte { le.PutUint16(b[96:], 4); return resign(b) }},
		{"do not cover", func(b []byte) []byte { le.PutUint32(b[88:], 5); return resign(b) }},
		{"token 3 is outside the vocabulary", func(b []byte) []byte { le.PutUint16(b[98+6:], 300); return resign(b) }},
	} {
		_, err := Decode(c.change(bytes.Clone(good)))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestOpenShardNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	encoded := encodeChunks(t, []plainChunk{{1, []int32{1, 2}, nil}}, 16, 300)
	path := filepath.Join(dir, "train-00012.shard")
	if _, err := OpenShard(path, ""); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "train-00012.shard") {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(path, encoded, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := OpenShard(path, strings.Repeat("0", 64))
	if !errors.Is(err, ErrCorrupt) || err.Error() != "open shard train-00012.shard: checksum mismatch" {
		t.Errorf("other content: %v", err)
	}
}

// FuzzDecode: no bytes make Decode panic, and what it accepts can be read and is
// exactly what a Builder writes.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	f.Add(encodeChunks(f, nil, 8, 5))
	f.Add(encodeChunks(f, randomChunks(r, 3, 16, 300), 16, 300))
	f.Add(encodeChunks(f, randomChunks(r, 2, 16, 70000), 16, 70000))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize+trailerSize {
			b = resign(b)
		}
		s, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again := NewBuilder(s.MaxSeq(), s.VocabSize())
		for i := range s.Chunks() {
			var bounds []int
			for j := range s.Bounds(i) {
				bounds = append(bounds, s.Bound(i, j))
			}
			if err := again.Add(s.Document(i), s.AppendTokens(nil, i, 0, s.Len(i)), bounds); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again.Encode(), b) {
			t.Fatal("a Builder writes it differently")
		}
	})
}
