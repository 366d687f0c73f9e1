package shard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Builder collects the chunks of one shard in memory.
type Builder struct {
	maxSeq, vocab int
	table         []byte
	bounds        []byte
	tokens        []byte
	chunks        int
	total         int
	nBounds       int
}

// NewBuilder starts a shard for chunks of at most maxSeq-3 tokens below vocab.
func NewBuilder(maxSeq, vocab int) *Builder {
	return &Builder{maxSeq: maxSeq, vocab: vocab}
}

// Add appends a chunk: consecutive tokens of one document, with the offsets in
// it at which sentences begin, ascending, without 0.
func (b *Builder) Add(document uint64, tokens []int32, bounds []int) error {
	if len(tokens) == 0 || len(tokens) > b.maxSeq-3 {
		return fmt.Errorf("add chunk: %d tokens, want 1 to %d", len(tokens), b.maxSeq-3)
	}
	if b.total+len(tokens) > math.MaxUint32 {
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
		if widthOf(b.vocab) == 2 {
			b.tokens = le.AppendUint16(b.tokens, uint16(t))
		} else {
			b.tokens = le.AppendUint32(b.tokens, uint32(t))
		}
	}
	for _, at := range bounds {
		b.bounds = le.AppendUint16(b.bounds, uint16(at))
	}
	b.chunks++
	b.total += len(tokens)
	b.nBounds += len(bounds)
	b.table = le.AppendUint64(b.table, document)
	b.table = le.AppendUint32(b.table, uint32(b.total))
	b.table = le.AppendUint32(b.table, uint32(b.nBounds))
	return nil
}

// Chunks is the number of chunks added.
func (b *Builder) Chunks() int { return b.chunks }

// Tokens is the number of tokens added.
func (b *Builder) Tokens() int { return b.total }

// Encode returns the bytes of the shard.
func (b *Builder) Encode() []byte {
	le := binary.LittleEndian
	out := make([]byte, 0, headerSize+len(b.table)+len(b.bounds)+len(b.tokens)+trailerSize)
	out = append(out, magic...)
	out = le.AppendUint16(out, formatNumber)
	out = le.AppendUint16(out, uint16(widthOf(b.vocab)))
	out = le.AppendUint32(out, uint32(b.maxSeq))
	out = le.AppendUint32(out, uint32(b.vocab))
	out = le.AppendUint32(out, 0)
	out = le.AppendUint64(out, uint64(b.chunks))
	out = le.AppendUint64(out, uint64(b.nBounds))
	out = le.AppendUint64(out, uint64(b.total))
	out = append(out, make([]byte, headerSize-len(out))...)
	out = append(out, b.table...)
	out = append(out, b.bounds...)
	out = append(out, b.tokens...)
	return le.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// Reset empties the builder for the next shard and keeps its memory.
func (b *Builder) Reset() {
	b.table, b.bounds, b.tokens = b.table[:0], b.bounds[:0], b.tokens[:0]
	b.chunks, b.total, b.nBounds = 0, 0, 0
}
