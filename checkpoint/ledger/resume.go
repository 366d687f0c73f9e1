package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Resume appends that the run goes on from the checkpoint of step; 0 is the beginning.
// from is the log as of that checkpoint's head, nil if there is none: the entry proves
// that it is a prefix of this log.
func (l *Log) Resume(step uint64, from *Tree) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.resolveHead(); err != nil {
		return err
	}
	r := &Resumed{Prior: l.state.tree.state(), Step: step, From: from, Software: l.software}
	if from != nil {
		proof, err := l.prove(from.Size)
		if err != nil {
			return fmt.Errorf("resume from the checkpoint of step %d: %w", step, err)
		}
		r.Proof = proof
		if err := r.checkFollows(l.state.tree); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	_, err := l.append([]Entry{{Resumed: r}})
	return err
}

// prove returns the proof that the first n entries are a prefix of the log.
func (l *Log) prove(n int64) ([]string, error) {
	if n < 1 || n > l.state.tree.size {
		return nil, fmt.Errorf("its ledger had %d entries, this one has %d", n, l.state.tree.size)
	}
	proof, err := tlog.ProveTree(l.state.tree.size, n, tlog.HashReaderFunc(l.hashes))
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, h := range proof {
		texts = append(texts, h.String())
	}
	return texts, nil
}

// hashes returns the hashes of the tree by their index. They are not stored: reading all
// lines again for a rare proof is simpler than keeping them up to date.
func (l *Log) hashes(indexes []int64) ([]tlog.Hash, error) {
	wanted := map[int64]tlog.Hash{}
	for _, i := range indexes {
		wanted[i] = tlog.Hash{}
	}
	_, err := l.prefix(l.state.tree.size, func(level int, n int64, root tlog.Hash) {
		i := tlog.StoredHashIndex(level, n)
		if _, ok := wanted[i]; ok {
			wanted[i] = root
		}
	})
	if err != nil {
		return nil, err
	}
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, wanted[i])
	}
	return found, nil
}

// prefix returns the tree of the first entries. It calls visit as push does.
func (l *Log) prefix(size int64, visit func(level int, n int64, root tlog.Hash)) (t tree, err error) {
	in := newLineReader(l.entries, 0, l.state.bytes)
	for t.size < size {
		line, err := in.next()
		if err != nil {
			return t, fmt.Errorf("read entry %d: %w", t.size, err)
		}
		t.push(tlog.RecordHash(line), visit)
	}
	return t, nil
}
