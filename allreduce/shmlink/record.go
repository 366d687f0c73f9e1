package shmlink

import (
	"encoding/binary"
	"fmt"
)

// maxHeader is the longest header of a frame.
const maxHeader = 64

// recordLen is the length of what the sender writes to the socket for a frame:
//
//	0 place uint64     12 length of the header uint32
//	8 length uint32    16 header
const recordLen = 16 + maxHeader

// answerLen is the length of what the receiver writes: the number of frames that it
// acknowledges, and of those that it has freed, both uint32.
const answerLen = 8

// Frame is a frame that lies in the memory.
type Frame struct {
	at, length int
	header     []byte
}

func encodeRecord(f Frame) [recordLen]byte {
	var b [recordLen]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(f.at))
	le.PutUint32(b[8:], uint32(f.length))
	le.PutUint32(b[12:], uint32(len(f.header)))
	copy(b[16:], f.header)
	return b
}

// decodeRecord reads a record of a sender whose memory has so many bytes.
func decodeRecord(b [recordLen]byte, size int) (Frame, error) {
	le := binary.LittleEndian
	at, length, header := le.Uint64(b[0:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	if at > uint64(size) || uint64(length) > uint64(size)-at || at%align != 0 || header > maxHeader {
		return Frame{}, fmt.Errorf("a frame of %d bytes at %d, with a header of %d bytes, in a memory of %d", length, at, header, size)
	}
	return Frame{int(at), int(length), append([]byte(nil), b[16:16+header]...)}, nil
}

func encodeAnswer(acknowledged, freed int) [answerLen]byte {
	var b [answerLen]byte
	binary.LittleEndian.PutUint32(b[0:], uint32(acknowledged))
	binary.LittleEndian.PutUint32(b[4:], uint32(freed))
	return b
}

func decodeAnswer(b [answerLen]byte) (acknowledged, freed int) {
	return int(binary.LittleEndian.Uint32(b[0:])), int(binary.LittleEndian.Uint32(b[4:]))
}
