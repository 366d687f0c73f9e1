package plan

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/internal/wire"
)

// Candidate is a worker that is to be a member.
type Candidate struct {
	ID, Incarnation, Mailbox string
	Speed                    float64 // micro-batches a second; not positive: unknown
}

// Make returns the plan of the generation after previous. Members must have different
// IDs. Fields that it does not decide (Mixed, Fingerprint, Session, Since, Stored,
// Events) are copied from previous.
func Make(previous wire.Plan, members []Candidate, microBatches int, reason string) wire.Plan {
	ring := order(previous, members)
	p := previous
	p.Generation, p.MicroBatches, p.Reason, p.Members = previous.Generation+1, microBatches, reason, nil
	speeds := make([]float64, len(ring))
	for i, c := range ring {
		speeds[i] = c.Speed
		p.Members = append(p.Members, wire.Member{ID: c.ID, Incarnation: c.Incarnation, Mailbox: c.Mailbox})
	}
	shares := Shares(speeds, microBatches)
	if kept, ok := sharesOf(previous, p); ok && slowness(speeds, kept) <= Hysteresis*slowness(speeds, shares) {
		shares = kept
	}
	for i, s := range shares {
		p.Members[i].Share = s
	}
	return p
}

// order puts members of the previous plan first, in its order, then the others by ID.
func order(previous wire.Plan, members []Candidate) []Candidate {
	ring := slices.Clone(members)
	rankOf := func(c Candidate) int {
		if r := previous.Rank(c.ID, c.Incarnation); r >= 0 {
			return r
		}
		return len(previous.Members)
	}
	slices.SortStableFunc(ring, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(rankOf(a), rankOf(b)), cmp.Compare(a.ID, b.ID))
	})
	return ring
}

// sharesOf returns the shares of the previous plan if the ring is the same.
func sharesOf(previous, p wire.Plan) ([]int, bool) {
	if len(previous.Members) != len(p.Members) || previous.MicroBatches != p.MicroBatches {
		return nil, false
	}
	shares := make([]int, len(p.Members))
	for i, m := range previous.Members {
		if p.Members[i].ID != m.ID || p.Members[i].Incarnation != m.Incarnation {
			return nil, false
		}
		shares[i] = m.Share
	}
	return shares, true
}
