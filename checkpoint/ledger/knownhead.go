package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// NamedHead is a head that was kept apart from the log, in a checkpoint folder or
// elsewhere.
type NamedHead struct {
	Name string // for the message
	Note []byte
}

// ErrUnsigned says that the key of the log has not signed a head.
var ErrUnsigned = errors.New("not a head that the key of this log has signed")

// knownHead is an earlier head and where it is kept.
type knownHead struct {
	name   string
	head   Head
	signer string // public key
}

// parseHeads reads heads of a log of the given size, and sorts them.
func parseHeads(heads []NamedHead, keys []verifier, size int64) ([]knownHead, error) {
	var all []knownHead
	for _, h := range heads {
		parsed, v, err := parseHead(h.Note, keys...)
		if err != nil {
			return nil, &Fault{h.Name, -1, err.Error()}
		}
		if parsed.Size > size {
			return nil, &Fault{h.Name, -1, fmt.Sprintf("it covers %d entries, the ledger has %d: entries are missing", parsed.Size, size)}
		}
		all = append(all, knownHead{h.Name, parsed, v.text})
	}
	slices.SortStableFunc(all, func(a, b knownHead) int { return cmp.Compare(a.head.Size, b.head.Size) })
	return all, nil
}

// matchHeads checks those heads, in ascending order, whose size r has reached, and returns
// the others.
func matchHeads(prefixes []knownHead, r *replay) ([]knownHead, error) {
	for len(prefixes) > 0 && prefixes[0].head.Size == r.tree.size {
		p := prefixes[0]
		if p.head.Root != r.tree.root() {
			return nil, &Fault{p.name, -1, fmt.Sprintf(
				"its %d entries are not the first %d of the ledger, which was rewritten since", p.head.Size, p.head.Size)}
		}
		if p.signer != r.keyAt(r.tree.size) {
			return nil, &Fault{p.name, -1, fmt.Sprintf("it is not signed by the key that signed the ledger of %d entries", p.head.Size)}
		}
		prefixes = prefixes[1:]
	}
	return prefixes, nil
}

// Extends checks that the log is the head's log, at that size or a larger one, and returns
// the head. The error is ErrUnsigned if no key of the log signed the head, and a *Fault if
// the log has lost entries that the head covers, or was rewritten.
func (l *Log) Extends(h NamedHead) (Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.resolveHead(); err != nil {
		return Head{}, err
	}
	first, err := parseVerifier(l.state.public)
	if err != nil {
		return Head{}, err
	}
	keys := allKeys(first, l.entries)
	head, _, err := parseHead(h.Note, keys...)
	if err != nil {
		return Head{}, fmt.Errorf("%s: %w: %w", h.Name, ErrUnsigned, err)
	}
	prefixes, err := parseHeads([]NamedHead{h}, keys, l.state.tree.size)
	if err != nil {
		return Head{}, err
	}
	then := replay{public: l.state.public, keys: l.state.keys}
	if then.tree, err = l.prefix(head.Size, nil); err != nil {
		return Head{}, err
	}
	_, err = matchHeads(prefixes, &then)
	return head, err
}

// Checkpoints returns the checkpoints in the log, in its order.
func (l *Log) Checkpoints() []Saved {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.state.saved)
}
