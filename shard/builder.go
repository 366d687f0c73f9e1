package shard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Builder collects the chunks of one shard in memory.
type Builder struct {
	width, maxSeq, vocab  int
	table, bounds, tokens []byte
}

// NewBuilder starts a shard for chunks of at most maxSeq-3 tokens below vocab.
func NewBuilder(maxSeq, vocab int) *Builder {
	return &Builder{width: widthOf(vocab), maxSeq: maxSeq, vocab: vocab}
}

// Add appends a chunk: consecutive tokens of one document, with the offsets in
// it at which sentences begin, ascending, without 0.
func (b *Builder) Add(document uint64, tokens []int32, bounds []int) error {
	if len(tokens) == 0 || len(tokens) > b.maxSeq-3 {
		return fmt.Errorf("add chunk: %d tokens, want 1 to %d", len(tokens), b.maxSeq-3)
	}
	if b.Tokens()+len(tokens) > math.MaxUint32 {
		return fmt.Errorf("add chunk: shard is full")
	}
	last := 0
	for _, at := range bounds {
		if at <= last || at >= len(tokens) {
			return fmt.Errorf("add chunk: sentence boundary %d after %d in %d tokens", at, last, len(tokens))
		}
		last = at
	}
	for _, t := range tokens {
		if t < 0 || int(t) >= b.vocab {
			return fmt.Errorf("add chunk: token %d is outside the vocabulary of %d", t, b.vocab)
		}
	}
	le := binary.LittleEndian
	for _, t := range tokens {
		if b.width == 2 {
			b.tokens = le.AppendUint16(b.tokens, uint16(t))
		} else {
			b.tokens = le.AppendUint32(b.tokens, uint32(t))
		}
	}
	for _, at := range bounds {
		b.bounds = le.AppendUint16(b.bounds, uint16(at))
	}
	b.table = le.AppendUint64(b.table, document)
	b.table = le.AppendUint32(b.table, uint32(b.Tokens()))
	b.table = le.AppendUint32(b.table, uint32(len(b.bounds)/2))
	return nil
}

// Chunks is the number of chunks added.
func (b *Builder) Chunks() int { return len(b.table) / rowSize }

// Tokens is the number of tokens added.
func (b *Builder) Tokens() int { return len(b.tokens) / b.width }

// Encode returns the bytes of the shard.
func (b *Builder) Encode() []byte {
	le := binary.LittleEndian
	out := make([]byte, 0, headerSize+len(b.table)+len(b.bounds)+len(b.tokens)+trailerSize)
	out, _ = binary.Append(out, le, header{ // of a fixed size, which always succeeds
		Magic: magic, Version: formatNumber, Width: uint16(b.width), MaxSeq: uint32(b.maxSeq), Vocab: uint32(b.vocab),
		Chunks: uint64(b.Chunks()), Bounds: uint64(len(b.bounds) / 2), Tokens: uint64(b.Tokens()),
	})
	out = append(out, b.table...)
	out = append(out, b.bounds...)
	out = append(out, b.tokens...)
	return le.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// Reset empties the builder for the next shard and keeps its memory.
func (b *Builder) Reset() {
	b.table, b.bounds, b.tokens = b.table[:0], b.bounds[:0], b.tokens[:0]
}
