package ledger

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is the part of a log's Merkle tree (RFC 6962, section 2.1) that is needed to append:
// the roots of the full subtrees into which the entries divide, the largest first. Their
// number is the number of bits set in the size.
type tree struct {
	size  int64
	roots []tlog.Hash
}

func (t tree) clone() tree { return tree{t.size, slices.Clone(t.roots)} }

// push adds a leaf. It calls visit, if not nil, with the root of each subtree that the leaf
// completes, the leaf itself first: of the leaves n<<level to (n+1)<<level.
func (t *tree) push(leaf tlog.Hash, visit func(level int, n int64, root tlog.Hash)) {
	h := leaf
	for level := range bits.TrailingZeros64(^uint64(t.size)) + 1 {
		if level > 0 {
			last := len(t.roots) - 1
			h = tlog.NodeHash(t.roots[last], h)
			t.roots = t.roots[:last]
		}
		if visit != nil {
			visit(level, t.size>>level, h)
		}
	}
	t.roots = append(t.roots, h)
	t.size++
}

// root returns the root of all leaves.
func (t tree) root() tlog.Hash {
	if t.size == 0 {
		return emptyRoot
	}
	h := t.roots[len(t.roots)-1]
	for _, left := range slices.Backward(t.roots[:len(t.roots)-1]) {
		h = tlog.NodeHash(left, h)
	}
	return h
}

func (t tree) state() Tree { return Tree{t.size, t.root().String()} }

// parseHash reads a hash in canonical form.
func parseHash(s string) (tlog.Hash, error) {
	h, err := tlog.ParseHash(s)
	if err != nil || h.String() != s {
		return tlog.Hash{}, fmt.Errorf("%q is not a hash", s)
	}
	return h, nil
}

func (t Tree) validate() error {
	if t.Size < 0 {
		return fmt.Errorf("a tree of %d entries", t.Size)
	}
	_, err := parseHash(t.Root)
	return err
}

// parseProof reads the hashes of a proof.
func parseProof(texts []string) (tlog.TreeProof, error) {
	proof := make(tlog.TreeProof, 0, len(texts))
	for _, text := range texts {
		h, err := parseHash(text)
		if err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		proof = append(proof, h)
	}
	return proof, nil
}

// checkFollows returns why r cannot follow a log with the tree prior.
func (r *Resumed) checkFollows(prior tree) error {
	if r.Prior != prior.state() {
		return fmt.Errorf("resumed from a log of %d entries that is not this one", r.Prior.Size)
	}
	if r.From == nil {
		return nil
	}
	proof, err := parseProof(r.Proof)
	if err != nil {
		return err
	}
	from, err := parseHash(r.From.Root)
	if err != nil {
		return err
	}
	if r.From.Size < 1 || r.From.Size > prior.size {
		return fmt.Errorf("resumed from %d entries of %d", r.From.Size, prior.size)
	}
	if tlog.CheckTree(proof, prior.size, prior.root(), r.From.Size, from) != nil {
		return fmt.Errorf("the log of the checkpoint of step %d, %d entries, is not a prefix of this one", r.Step, r.From.Size)
	}
	return nil
}

func (r *Resumed) validate() error {
	if err := r.Prior.validate(); err != nil {
		return fmt.Errorf("resumed: prior: %w", err)
	}
	if r.From == nil {
		if len(r.Proof) != 0 {
			return errors.New("resumed: a proof of nothing")
		}
		return nil
	}
	if err := r.From.validate(); err != nil {
		return fmt.Errorf("resumed: from: %w", err)
	}
	_, err := parseProof(r.Proof)
	return err
}
