package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// The file, little-endian throughout:
//
//	header
//	chunks × { u64 document, u32 end token, u32 end bound }
//	bounds × u16: where in its chunk a sentence begins, but the first
//	tokens × token width
//	u32 CRC32C of all the above
const (
	formatNumber = 1
	headerSize   = 64
	rowSize      = 16
	trailerSize  = 4
)

// magic begins every shard.
var magic = [8]byte([]byte("GRAMSHRD"))

// header is the beginning of the file.
type header struct {
	Magic                  [8]byte
	Version, Width         uint16 // of a token: 2 or 4 bytes
	MaxSeq, Vocab          uint32
	Zero                   uint32
	Chunks, Bounds, Tokens uint64
	Zeros                  [16]byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt is wrapped by every error about a shard's content.
var ErrCorrupt = errors.New("corrupt")

// corrupt is an ErrCorrupt with a reason of its own words.
type corrupt string

func (c corrupt) Error() string        { return string(c) }
func (c corrupt) Is(target error) bool { return target == ErrCorrupt }

// Shard is one open shard. It is immutable and safe for concurrent use.
type Shard struct {
	width, maxSeq, vocab  int
	table, bounds, tokens []byte
}

// OpenShard reads a shard into memory and verifies it: against the SHA-256 of
// the manifest, in hexadecimal, its own CRC32C, and the rules of the format.
// Errors name the file.
func OpenShard(path, wantSHA string) (*Shard, error) {
	var s *Shard
	b, err := os.ReadFile(path)
	if err == nil && sha256Hex(b) != wantSHA {
		err = corrupt("checksum mismatch")
	}
	if err == nil {
		s, err = Decode(b)
	}
	if err != nil {
		return nil, fmt.Errorf("open shard %s: %w", filepath.Base(path), err)
	}
	return s, nil
}

// Decode reads a shard from its bytes, which it keeps. It accepts exactly what
// a Builder writes.
func Decode(b []byte) (*Shard, error) {
	if len(b) < headerSize+trailerSize {
		return nil, corrupt("truncated")
	}
	var h header
	if _, err := binary.Decode(b, binary.LittleEndian, &h); err != nil || h.Magic != magic {
		return nil, corrupt("not a shard")
	}
	if h.Version != formatNumber {
		return nil, corrupt(fmt.Sprintf("format %d, this program reads format %d", h.Version, formatNumber))
	}
	body := b[:len(b)-trailerSize]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, corrupt("checksum mismatch")
	}
	s := &Shard{width: int(h.Width), maxSeq: int(h.MaxSeq), vocab: int(h.Vocab)}
	if s.width != widthOf(s.vocab) || s.maxSeq < 8 || s.maxSeq > 1<<15 {
		return nil, corrupt("impossible header")
	}
	if h.Zero != 0 || h.Zeros != [16]byte{} {
		return nil, corrupt("reserved bytes are not zero")
	}
	rest := uint64(len(body) - headerSize)
	// Each count is bounded by the size of the file before any product is made.
	if h.Chunks > rest/rowSize || h.Bounds > rest/2 || h.Tokens > rest/uint64(h.Width) ||
		h.Chunks*rowSize+h.Bounds*2+h.Tokens*uint64(h.Width) != rest {
		return nil, corrupt("its counts do not match its size")
	}
	at := headerSize + int(h.Chunks)*rowSize
	s.table = body[headerSize:at]
	s.bounds = body[at : at+int(h.Bounds)*2]
	s.tokens = body[at+int(h.Bounds)*2:]
	return s, s.verify()
}

// verify checks that the chunk table covers tokens and bounds exactly and in
// order, and that every token is in the vocabulary.
func (s *Shard) verify() error {
	bounds, tokens := len(s.bounds)/2, s.Tokens()
	endToken, endBound := 0, 0
	for i := range s.Chunks() {
		t, b := s.tokenEnd(i), s.boundEnd(i)
		if t <= endToken || t > tokens || t-endToken > s.maxSeq-3 || b < endBound || b > bounds {
			return corrupt(fmt.Sprintf("chunk %d has impossible offsets", i))
		}
		last := 0
		for j := endBound; j < b; j++ {
			at := int(binary.LittleEndian.Uint16(s.bounds[2*j:]))
			if at <= last || at >= t-endToken {
				return corrupt(fmt.Sprintf("chunk %d has an impossible sentence boundary", i))
			}
			last = at
		}
		endToken, endBound = t, b
	}
	if endToken != tokens || endBound != bounds {
		return corrupt("its chunks do not cover its tokens")
	}
	for i := range tokens {
		if s.token(i) >= uint32(s.vocab) {
			return corrupt(fmt.Sprintf("token %d is outside the vocabulary", i))
		}
	}
	return nil
}

// widthOf is the number of bytes a token of the vocabulary takes.
func widthOf(vocab int) int {
	if vocab <= 1<<16 {
		return 2
	}
	return 4
}

func (s *Shard) tokenEnd(i int) int { return s.end(i, 8) }
func (s *Shard) boundEnd(i int) int { return s.end(i, 12) }

// end reads a column of the table; nothing stands before the first chunk.
func (s *Shard) end(i, column int) int {
	if i < 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(s.table[i*rowSize+column:]))
}

func (s *Shard) token(i int) uint32 {
	if s.width == 2 {
		return uint32(binary.LittleEndian.Uint16(s.tokens[2*i:]))
	}
	return binary.LittleEndian.Uint32(s.tokens[4*i:])
}

// MaxSeq is the sequence length that the chunks were packed for.
func (s *Shard) MaxSeq() int { return s.maxSeq }

// VocabSize is the size of the vocabulary that the tokens belong to.
func (s *Shard) VocabSize() int { return s.vocab }

// Chunks is the number of chunks; those below it are valid in what follows.
func (s *Shard) Chunks() int { return len(s.table) / rowSize }

// Tokens is the number of tokens of all chunks.
func (s *Shard) Tokens() int { return len(s.tokens) / s.width }

// Len is the number of tokens of chunk i.
func (s *Shard) Len(i int) int { return s.tokenEnd(i) - s.tokenEnd(i-1) }

// Document identifies the document of chunk i within the corpus.
func (s *Shard) Document(i int) uint64 {
	return binary.LittleEndian.Uint64(s.table[i*rowSize:])
}

// AppendTokens appends the tokens [from, to) of chunk i.
func (s *Shard) AppendTokens(dst []int32, i, from, to int) []int32 {
	start := s.tokenEnd(i - 1)
	for j := start + from; j < start+to; j++ {
		dst = append(dst, int32(s.token(j)))
	}
	return dst
}

// Bounds is the number of sentence boundaries inside chunk i: one less than its
// sentences.
func (s *Shard) Bounds(i int) int { return s.boundEnd(i) - s.boundEnd(i-1) }

// Bound is the token of chunk i at which its sentence j+1 begins.
func (s *Shard) Bound(i, j int) int {
	return int(binary.LittleEndian.Uint16(s.bounds[2*(s.boundEnd(i-1)+j):]))
}
