package ledger

import (
	"sort"

	"github.com/gramme-project/gramme/energy"
)

// meterKey names a meter of one incarnation of a worker.
type meterKey struct{ worker, incarnation, meter string }

func meterOf(k energy.Key) meterKey { return meterKey{k.Worker, k.Incarnation, k.Meter} }

// seen is what a log holds already and counts once. It takes memory for every
// key and, of each meter, for every hole in its sequence numbers.
type seen struct {
	keys   map[string]struct{}
	meters map[meterKey]sequence
	base   *seen // what was seen before; nil: nothing
}

func newSeen(base *seen) seen {
	return seen{keys: map[string]struct{}{}, meters: map[meterKey]sequence{}, base: base}
}

func (s *seen) hasKey(key string) bool {
	_, ok := s.keys[key]
	return ok || s.base != nil && s.base.hasKey(key)
}

func (s *seen) hasRecord(k energy.Key) bool {
	return s.meters[meterOf(k)].has(k.Seq) || s.base != nil && s.base.hasRecord(k)
}

// has reports whether the entry is one that counts once and is there.
func (s *seen) has(e *Entry) bool {
	if k, ok := e.record(); ok {
		return s.hasRecord(k)
	}
	return e.Key != "" && s.hasKey(e.Key)
}

func (s *seen) add(e *Entry) {
	if k, ok := e.record(); ok {
		m := meterOf(k)
		s.meters[m] = s.meters[m].add(k.Seq, e.Gap != nil, e.Index)
	} else if e.Key != "" {
		s.keys[e.Key] = struct{}{}
	}
}

// run is sequence numbers without a hole.
type run struct {
	first, last uint64
	gap         bool  // the record numbered first is a gap
	entry       int64 // where that record stands
}

// sequence is the numbers that a meter has used, as runs in ascending order.
// Numbers are 1 and up.
type sequence []run

// at returns the first run that ends with n or above.
func (q sequence) at(n uint64) int {
	return sort.Search(len(q), func(i int) bool { return q[i].last >= n })
}

func (q sequence) has(n uint64) bool {
	i := q.at(n)
	return i < len(q) && q[i].first <= n
}

// add returns the sequence with n, which it does not have.
func (q sequence) add(n uint64, gap bool, entry int64) sequence {
	i := q.at(n)
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
		q = append(q, run{})
		copy(q[i+1:], q[i:])
		q[i] = run{n, n, gap, entry}
	}
	return q
}
