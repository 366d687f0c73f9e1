package shard

import (
	"crypto/sha256"
	"encoding/binary"
)

// Bounds of exact de-duplication.
const (
	// dedupBytes is the size from which a paragraph is compared: short ones ("He
	// nodded.") repeat in any good text.
	dedupBytes = 48
	// dedupSlots bounds the memory: 128 MB for 12 million paragraphs. Those that
	// come later are compared with these, not with each other.
	dedupSlots = 1 << 24
)

// dedup is a set of paragraphs, held by 64 bits of their SHA-256: among 12
// million, a new paragraph is taken for an old one with a chance of 1 in 10^12.
type dedup struct {
	slots []uint64 // open addressing; 0 is free
	used  int
	most  int
}

func newDedup(most int) *dedup {
	return &dedup{slots: make([]uint64, min(most, 1<<12)), most: most}
}

// seen says whether a paragraph came before, and remembers it.
func (d *dedup) seen(paragraph string) bool {
	if len(paragraph) < dedupBytes {
		return false
	}
	sum := sha256.Sum256([]byte(paragraph))
	key := binary.LittleEndian.Uint64(sum[:])
	if key == 0 {
		key = 1
	}
	at, found := d.find(key)
	if found || d.used*4 >= d.most*3 {
		return found
	}
	d.slots[at] = key
	d.used++
	if d.used*4 >= len(d.slots)*3 && len(d.slots) < d.most {
		d.grow()
	}
	return false
}

func (d *dedup) find(key uint64) (int, bool) {
	mask := len(d.slots) - 1
	for i := int(key) & mask; ; i = (i + 1) & mask {
		switch d.slots[i] {
		case key:
			return i, true
		case 0:
			return i, false
		}
	}
}

func (d *dedup) grow() {
	old := d.slots
	d.slots = make([]uint64, 2*len(old))
	for _, key := range old {
		if key != 0 {
			at, _ := d.find(key)
			d.slots[at] = key
		}
	}
}
