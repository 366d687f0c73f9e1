package step

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// agreement is what the hellos of all members of a generation say together. It
// is a pure function of them, so that every member comes to the same one.
type agreement struct {
	newest  uint64     // newest applied step of any member
	digest  string     // of the state after it: that of most members who have it
	donors  []string   // members in that state, by rank
	stopped bool       // the run ends with newest
	trained wire.Begun // from where that state was trained
	stored  uint64     // newest durable step that any knows of
	// held are the micro-batches of step newest+1 whose sums members hold, by
	// rank. Nobody holds what another does.
	held [][]int
	// left are those that were given to a member which had not begun with them, and
	// later those of a member that has yet to apply the step before.
	left, later []int
	bereft      bool // members are gone
}

// lost lists the micro-batches of the step under way that were given to somebody who is
// gone: they are computed once more. Where nobody is gone there are none, nor where no
// member had begun with the step.
func (a agreement) lost(microBatches int) []int {
	known := slices.Concat(append(a.held, a.left)...)
	if !a.bereft || len(known) == 0 {
		return nil
	}
	known = append(known, a.later...)
	var lost []int
	for i := range microBatches {
		if !slices.Contains(known, i) {
			lost = append(lost, i)
		}
	}
	return lost
}

// agree derives the agreement from one hello of each member, by rank.
func agree(hellos []wire.Hello) agreement {
	a := agreement{held: make([][]int, len(hellos))}
	for _, h := range hellos {
		a.newest, a.stored = max(a.newest, h.Applied), max(a.stored, h.Stored)
	}
	votes := map[string]int{}
	for _, h := range hellos {
		if h.Applied == a.newest {
			votes[h.Digest]++
			// The first rank with as many as any decides a tie.
			if a.digest == "" || votes[h.Digest] > votes[a.digest] {
				a.digest = h.Digest
			}
		}
	}
	taken := map[int]bool{}
	for rank, h := range hellos {
		a.bereft = a.bereft || h.Lost
		if h.Next == a.newest { // it has yet to apply what others have
			a.later = append(a.later, h.Later...)
		}
		if h.Applied != a.newest || h.Digest != a.digest {
			continue
		}
		a.donors = append(a.donors, h.ID)
		a.stopped = a.stopped || h.Stopped
		if a.trained.Generation == 0 {
			a.trained = h.Begun
		}
		if h.Next == a.newest+1 {
			a.left = append(a.left, h.Left...)
		}
		if h.Next != a.newest+1 || slices.ContainsFunc(h.Done, func(i int) bool { return taken[i] }) {
			continue // a sum that overlaps with another's is dropped as a whole
		}
		for _, i := range h.Done {
			taken[i] = true
		}
		a.held[rank] = slices.Clone(h.Done)
	}
	return a
}

// assign gives every micro-batch that nobody holds to a member: to the first
// rank that is below its share, as runs of neighbours, so that the micro-batches
// of a member come from the same stretch of the corpus; to the least burdened
// where all have their share, because others hold more than theirs.
func assign(p wire.Plan, held [][]int) [][]int {
	todo := make([][]int, len(p.Members))
	have := make([]int, len(p.Members))
	taken := make([]bool, p.MicroBatches)
	for rank, list := range held {
		have[rank] = len(list)
		for _, i := range list {
			taken[i] = true
		}
	}
	ranks := make([]int, len(p.Members))
	for i := range ranks {
		ranks[i] = i
	}
	below := func(rank int) int { return p.Members[rank].Share - have[rank] }
	for i, t := range taken {
		if t {
			continue
		}
		to := slices.IndexFunc(ranks, func(r int) bool { return below(r) > 0 })
		if to < 0 { // everyone has its share: the least burdened
			to = slices.MaxFunc(ranks, func(a, b int) int {
				return cmp.Or(cmp.Compare(below(a), below(b)), cmp.Compare(b, a))
			})
		}
		todo[to] = append(todo[to], i)
		have[to]++
	}
	return todo
}
