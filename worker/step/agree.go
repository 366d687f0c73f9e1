package step

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// agreement is what follows from the hellos of all members of a generation. It is a pure
// function of them, so every member reaches the same one.
type agreement struct {
	newest  uint64       // newest applied step of any member
	digest  string       // of the state after that step, by majority of the members that have it
	donors  []string     // members in that state, by rank
	stopped bool         // the run ends with newest
	lineage wire.Lineage // from where that state was trained
	stored  uint64       // newest durable step that any member knows of
	// held are the micro-batches of step newest+1 whose sums members hold, by rank. No two
	// members hold the same one.
	held [][]int
	// unstarted were assigned to a present member that had not started them; nextShare are
	// those of a member that has yet to apply the step before.
	unstarted, nextShare []int
	lostMembers          bool // members are lost
}

// lostMicroBatches lists the micro-batches of the next step that were assigned to lost
// members and are recomputed. There are none if no member is lost, or if no member had begun
// the step.
func (a agreement) lostMicroBatches(microBatches int) []int {
	known := slices.Concat(append(a.held, a.unstarted)...)
	if !a.lostMembers || len(known) == 0 {
		return nil
	}
	known = append(known, a.nextShare...)
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
			// In a tie, the digest of the lowest rank counts.
			if a.digest == "" || votes[h.Digest] > votes[a.digest] {
				a.digest = h.Digest
			}
		}
	}
	taken := map[int]bool{}
	for rank, h := range hellos {
		a.lostMembers = a.lostMembers || h.LostMembers
		if h.Next == a.newest { // it has yet to apply the newest entry
			a.nextShare = append(a.nextShare, h.NextShare...)
		}
		if h.Applied != a.newest || h.Digest != a.digest {
			continue
		}
		a.donors = append(a.donors, h.ID)
		a.stopped = a.stopped || h.Stopped
		if a.lineage.Generation == 0 {
			a.lineage = h.Lineage
		}
		if h.Next == a.newest+1 {
			a.unstarted = append(a.unstarted, h.Unstarted...)
		}
		if h.Next != a.newest+1 || slices.ContainsFunc(h.Done, func(i int) bool { return taken[i] }) {
			continue // a sum that overlaps with another is dropped as a whole
		}
		for _, i := range h.Done {
			taken[i] = true
		}
		a.held[rank] = slices.Clone(h.Done)
	}
	return a
}

// assign gives every micro-batch that nobody holds to a member: to the first rank below
// its share, in consecutive runs, so that a member reads one stretch of the corpus. If every
// member has its share, because some hold more than theirs, it goes to the least loaded
// member.
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
		if to < 0 { // every member has its share
			to = slices.MaxFunc(ranks, func(a, b int) int {
				return cmp.Or(cmp.Compare(below(a), below(b)), cmp.Compare(b, a))
			})
		}
		todo[to] = append(todo[to], i)
		have[to]++
	}
	return todo
}
