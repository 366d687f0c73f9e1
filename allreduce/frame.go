package allreduce

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// HeaderLen is the length of an encoded frame header.
const HeaderLen = 64

// frameMagic begins every header; its last byte is the version of the format.
const frameMagic = 0x01465247 // "GRF" 1, little-endian

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is the header of one chunk on the wire. Its payload is Length words,
// little-endian.
type Frame struct {
	Run        uint64 // RunHash
	Generation uint64
	Step       uint64
	Sequence   uint64 // of the frames that a rank sent in this generation, from 0
	Rank       int    // of the sender
	World      int
	Transfer
}

// RunHash returns the 8 bytes that identify a run in frames.
func RunHash(run string) uint64 {
	h := sha256.Sum256([]byte(run))
	return binary.LittleEndian.Uint64(h[:])
}

// Encode returns the header, with the CRC32C of itself and the payload. The
// layout is
//
//	0 magic uint32     8 run uint64         40 offset uint64
//	4 phase uint8     16 generation uint64  48 length uint32
//	5 zero            24 step uint64        52 chunk uint32
//	6 hop uint16      32 sequence uint64    56 rank, world uint16
//	                                        60 CRC32C uint32
func (f Frame) Encode(payload []byte) [HeaderLen]byte {
	var h [HeaderLen]byte
	le := binary.LittleEndian
	le.PutUint32(h[0:], frameMagic)
	h[4] = byte(f.Phase)
	le.PutUint16(h[6:], uint16(f.Hop))
	le.PutUint64(h[8:], f.Run)
	le.PutUint64(h[16:], f.Generation)
	le.PutUint64(h[24:], f.Step)
	le.PutUint64(h[32:], f.Sequence)
	le.PutUint64(h[40:], uint64(f.Offset))
	le.PutUint32(h[48:], uint32(f.Length))
	le.PutUint32(h[52:], uint32(f.Chunk))
	le.PutUint16(h[56:], uint16(f.Rank))
	le.PutUint16(h[58:], uint16(f.World))
	le.PutUint32(h[60:], checksum(h[:60], payload))
	return h
}

// DecodeFrame reads a header and checks it and the payload. Every error is an
// ErrCorrupt.
func DecodeFrame(header, payload []byte) (Frame, error) {
	if len(header) != HeaderLen {
		return Frame{}, fmt.Errorf("%w: header of %d bytes, not %d", ErrCorrupt, len(header), HeaderLen)
	}
	le := binary.LittleEndian
	if m := le.Uint32(header); m != frameMagic {
		return Frame{}, fmt.Errorf("%w: begins with %08x, not %08x", ErrCorrupt, m, frameMagic)
	}
	f := Frame{
		Run:        le.Uint64(header[8:]),
		Generation: le.Uint64(header[16:]),
		Step:       le.Uint64(header[24:]),
		Sequence:   le.Uint64(header[32:]),
		Rank:       int(le.Uint16(header[56:])),
		World:      int(le.Uint16(header[58:])),
		Transfer: Transfer{
			Phase:  Phase(header[4]),
			Hop:    int(le.Uint16(header[6:])),
			Chunk:  int(le.Uint32(header[52:])),
			Offset: int(le.Uint64(header[40:])),
			Length: int(le.Uint32(header[48:])),
		},
	}
	if got, want := checksum(header[:60], payload), le.Uint32(header[60:]); got != want {
		return Frame{}, fmt.Errorf("%w: %v: CRC32C %08x, not %08x", ErrCorrupt, f, got, want)
	}
	if header[5] != 0 || f.Offset < 0 || len(payload) != 4*f.Length {
		return Frame{}, fmt.Errorf("%w: %v with a payload of %d bytes", ErrCorrupt, f, len(payload))
	}
	return f, nil
}

func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

func (f Frame) String() string {
	return fmt.Sprintf("frame %d of generation %d, step %d, %v hop %d chunk %d (words %d+%d)",
		f.Sequence, f.Generation, f.Step, f.Phase, f.Hop, f.Chunk, f.Offset, f.Length)
}
