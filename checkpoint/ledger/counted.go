package ledger

import (
	"sort"

	"github.com/gramme-project/gramme/energy"
)

// meterKey names a meter of one incarnation of a worker.
type meterKey struct{ worker, incarnation, meter string }

func meterOf(k energy.Key) meterKey { return meterKey{k.Worker, k.Incarnation, k.Meter} }

// counted is what a log already holds and counts once. It takes memory for every key and
// for every hole in the sequence numbers of each meter.
type counted struct {
	keys   map[string]struct{}
	meters map[meterKey]sequence
	base   *counted // counted before; may be nil
}

func newCounted(base *counted) counted {
	return counted{keys: map[string]struct{}{}, meters: map[meterKey]sequence{}, base: base}
}

func (s *counted) hasKey(key string) bool {
	_, ok := s.keys[key]
	return ok || s.base != nil && s.base.hasKey(key)
}

func (s *counted) hasRecord(k energy.Key) bool {
	return s.meters[meterOf(k)].has(k.Seq) || s.base != nil && s.base.hasRecord(k)
}

// has reports whether the entry counts once and is already there.
func (s *counted) has(e *Entry) bool {
	if k, ok := e.record(); ok {
		return s.hasRecord(k)
	}
	return e.Key != "" && s.hasKey(e.Key)
}

func (s *counted) add(e *Entry) {
	if k, ok := e.record(); ok {
		m := meterOf(k)
		s.meters[m] = s.meters[m].add(k.Seq, e.Gap != nil, e.Index)
	} else if e.Key != "" {
		s.keys[e.Key] = struct{}{}
	}
}

// seqRange is consecutive sequence numbers.
type seqRange struct {
	first, last uint64
	gap         bool  // record number first is a gap
	entry       int64 // index of that record's entry
}

// sequence is the numbers that a meter has used, as ranges in ascending order. Numbers
// start at 1.
type sequence []seqRange

// find returns the index of the first range that ends with n or above.
func (q sequence) find(n uint64) int {
	return sort.Search(len(q), func(i int) bool { return q[i].last >= n })
}

func (q sequence) has(n uint64) bool {
	i := q.find(n)
	return i < len(q) && q[i].first <= n
}

// add returns the sequence with n, which it did not have.
func (q sequence) add(n uint64, gap bool, entry int64) sequence {
	i := q.find(n)
	joinsLeft := i > 0 && q[i-1].last == n-1
	joinsRight := i < len(q) && q[i].first-1 == n
	switch {
	case joinsLeft && joinsRight:
		q[i-1].last = q[i].last
		return append(q[:i], q[i+1:]...)
	case joinsLeft:
		q[i-1].last = n
	case joinsRight:
		q[i].first, q[i].gap, q[i].entry = n, gap, entry
	default:
		q = append(q, seqRange{})
		copy(q[i+1:], q[i:])
		q[i] = seqRange{n, n, gap, entry}
	}
	return q
}
