package wordpiece

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// trie finds the longest piece at a place in one pass over the bytes. It is a
// double array: the child of node n by byte b is the slot nodes[n].base^b, if
// that slot's parent is n.
type trie struct {
	nodes []trieNode
}

type trieNode struct {
	base   uint32
	parent uint32
	id     int32 // of the piece that ends here, or -1
}

const (
	wordRoot  = 0 // of pieces that begin a word
	pieceRoot = 1 // of pieces that continue one, without their ##
	noParent  = ^uint32(0)
)

// newTrie puts in every token by its index; tokens are distinct. Those that are
// longer than a word can be are left out: they never match.
func newTrie(vocab []string) *trie {
	var begins, continues []trieKey
	for i, token := range vocab {
		if len(token) > len(continuation)+maxWordChars*utf8.UTFMax {
			continue
		}
		if rest, ok := strings.CutPrefix(token, continuation); ok && rest != "" {
			continues = append(continues, trieKey{rest, int32(i)})
		} else {
			begins = append(begins, trieKey{token, int32(i)})
		}
	}
	b := &trieBuilder{}
	b.grow()
	b.take(wordRoot, noParent)
	b.take(pieceRoot, noParent)
	for root, keys := range [][]trieKey{wordRoot: begins, pieceRoot: continues} {
		slices.SortFunc(keys, func(a, b trieKey) int { return cmp.Compare(a.text, b.text) })
		b.insert(uint32(root), keys, 0)
	}
	return &trie{nodes: b.nodes}
}

// longest returns the id of the longest piece that w begins with, and its length
// in bytes; the length is 0 if there is none.
func (t *trie) longest(root uint32, w []byte) (id int32, n int) {
	nodes := t.nodes
	at := root
	for i, c := range w {
		// A base is a slot and slots come in whole blocks of 256, so that this
		// is within them.
		next := nodes[at].base ^ uint32(c)
		node := &nodes[next]
		if node.parent != at {
			break
		}
		if node.id >= 0 {
			id, n = node.id, i+1
		}
		at = next
	}
	return id, n
}

type trieKey struct {
	text string
	id   int32
}

type trieBuilder struct {
	nodes []trieNode
	used  []bool
	free  int // no slot below is free
}

const trieBlock = 256

// maxProbes bounds the search for a place in slots that are nearly full.
const maxProbes = 512

func (b *trieBuilder) grow() {
	for range trieBlock {
		b.nodes = append(b.nodes, trieNode{parent: noParent, id: -1})
		b.used = append(b.used, false)
	}
}

func (b *trieBuilder) take(slot, parent uint32) {
	b.nodes[slot].parent = parent
	b.used[slot] = true
}

// insert puts the sorted keys, which share their first depth bytes, below node.
func (b *trieBuilder) insert(node uint32, keys []trieKey, depth int) {
	if len(keys) > 0 && len(keys[0].text) == depth {
		b.nodes[node].id = keys[0].id
		keys = keys[1:]
	}
	if len(keys) == 0 {
		return
	}
	var labels []byte
	for _, k := range keys {
		if c := k.text[depth]; len(labels) == 0 || labels[len(labels)-1] != c {
			labels = append(labels, c)
		}
	}
	base := b.place(labels)
	b.nodes[node].base = base
	for _, c := range labels {
		b.take(base^uint32(c), node)
	}
	for _, c := range labels {
		n := 0
		for n < len(keys) && keys[n].text[depth] == c {
			n++
		}
		b.insert(base^uint32(c), keys[:n], depth+1)
		keys = keys[n:]
	}
}

// place finds a base whose slots are all free.
func (b *trieBuilder) place(labels []byte) uint32 {
	for b.free < len(b.used) && b.used[b.free] {
		b.free++
	}
	probes := 0
	for slot := b.free; slot < len(b.used) && probes < maxProbes; slot++ {
		if b.used[slot] {
			continue
		}
		probes++
		base := uint32(slot) ^ uint32(labels[0])
		if !slices.ContainsFunc(labels, func(c byte) bool { return b.used[base^uint32(c)] }) {
			return base
		}
	}
	base := uint32(len(b.nodes))
	b.grow()
	return base
}
