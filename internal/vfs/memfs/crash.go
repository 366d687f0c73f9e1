package memfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// Keep decides what of n things that were not synced a loss of power leaves: 0 to n.
type Keep func(n int) int

// KeepNone loses all.
func KeepNone(int) int { return 0 }

// KeepAll loses nothing, as when a process is killed and the machine goes on.
func KeepAll(n int) int { return n }

// KeepSome loses any part, drawn from a seed.
func KeepSome(seed uint64) Keep {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int {
		switch r.IntN(3) {
		case 0:
			return 0
		case 1:
			return n
		}
		return r.IntN(n + 1)
	}
}

// Crash returns what stands after a loss of power: no hook, no lock, no open file.
// The file system itself stays as it is.
func (m *FS) Crash(keep Keep) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := crash{keep, map[*node]*node{}}
	return &FS{root: c.left(m.root)}
}

type crash struct {
	keep Keep
	done map[*node]*node // a file may have two names
}

func (c crash) left(n *node) *node {
	if left := c.done[n]; left != nil {
		return left
	}
	left := &node{mode: n.mode, modified: n.modified, content: n.content}
	c.done[n] = left
	switch {
	case n.names != nil:
		left.names = c.namesOf(n)
		for _, name := range slices.Sorted(maps.Keys(left.names)) { // a seed gives the same
			left.names[name] = c.left(left.names[name])
		}
		left.durable = maps.Clone(left.names)
	case n.mode.IsRegular():
		left.content = c.contentOf(n)
		left.synced = left.content
	}
	return left
}

// namesOf are the durable names of a folder, and any of the changes since.
func (c crash) namesOf(n *node) map[string]*node {
	names := maps.Clone(n.durable)
	for _, change := range n.pending {
		switch {
		case c.keep(1) == 0:
		case change.node == nil:
			delete(names, change.name)
		case change.from == "":
			names[change.name] = change.node
		case names[change.from] == change.node:
			delete(names, change.from)
			names[change.name] = change.node
		}
	}
	return names
}

// contentOf is of any length between that which was synced and the newest, and each
// block of it is the old or the new one.
func (c crash) contentOf(n *node) []byte {
	if bytes.Equal(n.synced, n.content) {
		return n.synced
	}
	const block = 64
	size := len(n.synced)
	if more := len(n.content) - size; more > 0 {
		size += c.keep(more)
	} else {
		size -= c.keep(-more)
	}
	content := make([]byte, size)
	for at := 0; at < size; at += block {
		from := n.synced
		if c.keep(1) == 1 {
			from = n.content
		}
		if at < len(from) {
			copy(content[at:min(at+block, size)], from[at:])
		}
	}
	return content
}
