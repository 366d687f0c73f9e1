package allreduce

import (
	"bytes"
	"errors"
	"testing"
)

var sampleFrame = Frame{
	Run: RunHash("run"), Generation: 3, Step: 1 << 40, Sequence: 77, Rank: 2, World: 5,
	Transfer: Transfer{Phase: AllGather, Hop: 3, Chunk: 9, Offset: 1 << 33, Length: 2},
}

func TestFrameRoundTrip(t *testing.T) {
	payload := []byte("8 bytes.")
	h := sampleFrame.Encode(payload)
	got, err := DecodeFrame(h[:], payload)
	if err != nil {
		t.Fatal(err)
	}
	if got != sampleFrame {
		t.Errorf("encoded %+v, decoded %+v", sampleFrame, got)
	}
}

// TestFlippedBits flips every bit of header and payload in turn.
func TestFlippedBits(t *testing.T) {
	payload := []byte("8 bytes.")
	h := sampleFrame.Encode(payload)
	whole := append(h[:], payload...)
	for i := range 8 * len(whole) {
		whole[i/8] ^= 1 << (i % 8)
		if _, err := DecodeFrame(whole[:HeaderLen], whole[HeaderLen:]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d of byte %d: %v", i%8, i/8, err)
		}
		whole[i/8] ^= 1 << (i % 8)
	}
	for n := range len(whole) {
		head := min(n, HeaderLen)
		if _, err := DecodeFrame(whole[:head], whole[head:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	h := sampleFrame.Encode([]byte("8 bytes."))
	f.Add(h[:], []byte("8 bytes."))
	empty := Frame{}.Encode(nil)
	f.Add(empty[:], []byte{})
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		frame, err := DecodeFrame(header, payload)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || frame != (Frame{}) {
				t.Fatalf("%v, %v", frame, err)
			}
			return
		}
		if again := frame.Encode(payload); !bytes.Equal(again[:], header) {
			t.Fatalf("%v encodes as %x, was %x", frame, again, header)
		}
	})
}
