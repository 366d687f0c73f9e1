package shmlink

import (
	"math/rand/v2"
	"testing"
)

// TestArenaKeepsFramesApart places and frees frames at random: no two that are there
// overlap, none leaves the memory, and what is refused while everything is free is too
// large.
func TestArenaKeepsFramesApart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		a := arena{size: align * (1 + random.IntN(40))}
		var there []span // as the test remembers it
		for range 500 {
			if n := random.IntN(a.size + 2*align); random.IntN(2) == 0 {
				at, ok := a.place(n)
				if !ok {
					if len(there) == 0 && n <= a.size-align {
						t.Fatalf("%d bytes do not fit into %d, which are free", n, a.size)
					}
					continue
				}
				if at%align != 0 || at < 0 || at+n > a.size {
					t.Fatalf("%d bytes at %d of %d", n, at, a.size)
				}
				for _, s := range there {
					if at < s.to && s.from < at+max(1, n) {
						t.Fatalf("%d bytes at %d overlap with %d to %d", n, at, s.from, s.to)
					}
				}
				there = append(there, span{at, at + max(1, n)})
			} else {
				n := random.IntN(len(there) + 2)
				if ok := a.free(n); ok != (n <= len(there)) {
					t.Fatalf("free %d of %d: %v", n, len(there), ok)
				} else if ok {
					there = there[n:]
				}
			}
		}
		if a.free(-1) || !a.free(len(there)) {
			t.Fatal("what is there cannot be freed, or less than nothing can")
		}
		if at, ok := a.place(a.size); !ok || at != 0 {
			t.Fatalf("the whole memory is placed at %d: %v", at, ok)
		}
	}
}

// FuzzRecord decodes what a sender may write: what is taken lies within the memory.
func FuzzRecord(f *testing.F) {
	good := encodeRecord(Frame{128, 1000, make([]byte, maxHeader)})
	f.Add(good[:])
	for i := range 16 {
		bad := good
		bad[i] ^= 0xff
		f.Add(bad[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r [recordLen]byte
		copy(r[:], b)
		got, err := decodeRecord(r, 4096)
		if err != nil {
			return
		}
		if got.at < 0 || got.length < 0 || got.at+got.length > 4096 || got.at%align != 0 {
			t.Fatalf("%d bytes at %d of 4096", got.length, got.at)
		}
		if again := encodeRecord(got); again != [recordLen]byte(append(append([]byte(nil), r[:16+len(got.header)]...), make([]byte, maxHeader-len(got.header))...)) {
			t.Fatalf("%x is encoded again as %x", r, again)
		}
	})
}
