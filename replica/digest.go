package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// digestLen is the number of elements that one hash of Digest covers.
const digestLen = 1 << 18

// Digest returns 32 hex digits that differ when two states differ: SHA-256 over
// the meta data and an xxHash64 of every stretch of the three buffers. It detects
// divergence; the checkpoint's manifest protects against an adversary. It reads
// the whole state once, at about memory speed.
func Digest(s *State, cores int) (string, error) {
	if err := s.Refresh(); err != nil {
		return "", err
	}
	meta, err := s.EncodeMeta()
	if err != nil {
		return "", err
	}
	per := (len(s.Weights) + digestLen - 1) / digestLen
	sums := make([]byte, 8*3*per)
	buffers := [3][]float32{s.Weights, s.Moment1, s.Moment2}
	forEach(3*per, cores, func(i int) {
		b := buffers[i/per]
		from := i % per * digestLen
		part := b[from:min(from+digestLen, len(b))]
		binary.LittleEndian.PutUint64(sums[8*i:], xxhash.Sum64(Bytes(part)))
	})
	h := sha256.New()
	h.Write(meta)
	h.Write(sums)
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Bytes views floats as their bytes in memory, without a copy. All platforms that
// this software runs on are little-endian, like its formats.
func Bytes(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// WordBytes views words as their bytes in memory, without a copy.
func WordBytes(w []int32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), 4*len(w))
}

// shorts views words as the pairs of 16-bit integers that they are, without a copy.
func shorts(w []int32) []int16 {
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(w))), 2*len(w))
}

// words views floats as the words of their bits, without a copy.
func words(f []float32) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}
