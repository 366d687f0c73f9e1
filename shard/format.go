package shard

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// The file, little-endian throughout:
//
//	offset  0  magic "GRAMSHRD"
//	        8  u16 version, u16 token width (2 or 4)
//	       12  u32 max_seq, u32 vocabulary size, u32 zero
//	       24  u64 chunks, u64 bounds, u64 tokens
//	       48  16 zero bytes
//	       64  chunks × { u64 document, u32 end token, u32 end bound }
//	           bounds × u16: where in its chunk a sentence begins, but the first
//	           tokens × token width
//	           u32 CRC32C of all the above
const (
	magic        = "GRAMSHRD"
	formatNumber = 1
	headerSize   = 64
	rowSize      = 16
	trailerSize  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt is wrapped by every error about a shard's content.
var ErrCorrupt = errors.New("corrupt")

// ErrUnavailable is wrapped by the error of a Fetcher whose source does not answer, and
// may in a moment.
var ErrUnavailable = errors.New("the source does not answer")

// corrupt is an ErrCorrupt with a reason of its own words.
type corrupt string

func (c corrupt) Error() string        { return string(c) }
func (c corrupt) Is(target error) bool { return target == ErrCorrupt }

// Shard is one open shard. It is immutable and safe for concurrent use.
type Shard struct {
	width, maxSeq, vocab int
	chunks               int
	table                []byte
	bounds               []byte
	tokens               []byte
}

// OpenShard reads a shard into memory and verifies it: against the SHA-256 of
// the manifest (hexadecimal; empty skips this check), its own CRC32C, and the
// rules of the format. Errors name the file.
func OpenShard(path, wantSHA string) (*Shard, error) {
	name := filepath.Base(path)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open shard %s: %w", name, err)
	}
	if wantSHA != "" {
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != wantSHA {
			return nil, fmt.Errorf("open shard %s: %w", name, corrupt("checksum mismatch"))
		}
	}
	s, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("open shard %s: %w", name, err)
	}
	return s, nil
}

// Decode reads a shard from its bytes, which it keeps. It accepts exactly what
// a Builder writes.
func Decode(b []byte) (*Shard, error) {
	if len(b) < headerSize+trailerSize {
		return nil, corrupt("truncated")
	}
	if string(b[:8]) != magic {
		return nil, corrupt("not a shard")
	}
	le := binary.LittleEndian
	if v := le.Uint16(b[8:]); v != formatNumber {
		return nil, corrupt(fmt.Sprintf("format %d, this program reads format %d", v, formatNumber))
	}
	body := b[:len(b)-trailerSize]
	if crc32.Checksum(body, castagnoli) != le.Uint32(b[len(body):]) {
		return nil, corrupt("checksum mismatch")
	}
	s := &Shard{width: int(le.Uint16(b[10:])), maxSeq: int(le.Uint32(b[12:])), vocab: int(le.Uint32(b[16:]))}
	if s.width != widthOf(s.vocab) || s.maxSeq < 8 || s.maxSeq > 1<<15 {
		return nil, corrupt("impossible header")
	}
	if le.Uint32(b[20:]) != 0 || !bytes.Equal(b[48:headerSize], make([]byte, headerSize-48)) {
		return nil, corrupt("reserved bytes are not zero")
	}
	chunks, bounds, tokens := le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	rest := uint64(len(body) - headerSize)
	// Each count is bounded by the size of the file before any product is made.
	if chunks > rest/rowSize || bounds > rest/2 || tokens > rest/uint64(s.width) ||
		chunks*rowSize+bounds*2+tokens*uint64(s.width) != rest {
		return nil, corrupt("its counts do not match its size")
	}
	s.chunks = int(chunks)
	at := headerSize + int(chunks)*rowSize
	s.table = body[headerSize:at]
	s.bounds = body[at : at+int(bounds)*2]
	s.tokens = body[at+int(bounds)*2:]
	return s, s.verify(int(bounds), int(tokens))
}

// verify checks that the chunk table covers tokens and bounds exactly and in
// order, and that every token is in the vocabulary.
func (s *Shard) verify(bounds, tokens int) error {
	endToken, endBound := 0, 0
	for i := range s.chunks {
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

func (s *Shard) tokenEnd(i int) int {
	return int(binary.LittleEndian.Uint32(s.table[i*rowSize+8:]))
}

func (s *Shard) boundEnd(i int) int {
	return int(binary.LittleEndian.Uint32(s.table[i*rowSize+12:]))
}

func (s *Shard) token(i int) uint32 {
	if s.width == 2 {
		return uint32(binary.LittleEndian.Uint16(s.tokens[2*i:]))
	}
	return binary.LittleEndian.Uint32(s.tokens[4*i:])
}

// span is the range of the tokens of chunk i.
func (s *Shard) span(i int) (int, int) {
	if i == 0 {
		return 0, s.tokenEnd(0)
	}
	return s.tokenEnd(i - 1), s.tokenEnd(i)
}

// MaxSeq is the sequence length that the chunks were packed for.
func (s *Shard) MaxSeq() int { return s.maxSeq }

// VocabSize is the size of the vocabulary that the tokens belong to.
func (s *Shard) VocabSize() int { return s.vocab }

// Chunks is the number of chunks; those below it are valid in what follows.
func (s *Shard) Chunks() int { return s.chunks }

// Tokens is the number of tokens of all chunks.
func (s *Shard) Tokens() int { return len(s.tokens) / s.width }

// Len is the number of tokens of chunk i.
func (s *Shard) Len(i int) int {
	from, to := s.span(i)
	return to - from
}

// Document identifies the document of chunk i within the corpus.
func (s *Shard) Document(i int) uint64 {
	return binary.LittleEndian.Uint64(s.table[i*rowSize:])
}

// AppendTokens appends the tokens [from, to) of chunk i.
func (s *Shard) AppendTokens(dst []int32, i, from, to int) []int32 {
	start, _ := s.span(i)
	for j := start + from; j < start+to; j++ {
		dst = append(dst, int32(s.token(j)))
	}
	return dst
}

// Bounds is the number of sentence boundaries inside chunk i: one less than its
// sentences.
func (s *Shard) Bounds(i int) int {
	if i == 0 {
		return s.boundEnd(0)
	}
	return s.boundEnd(i) - s.boundEnd(i-1)
}

// Bound is the token of chunk i at which its sentence j+1 begins.
func (s *Shard) Bound(i, j int) int {
	if i > 0 {
		j += s.boundEnd(i - 1)
	}
	return int(binary.LittleEndian.Uint16(s.bounds[2*j:]))
}
