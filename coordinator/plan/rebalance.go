package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/wire"
)

// Worthwhile is by which factor a step must be longer than necessary before that alone is
// the reason of a plan. It is above alike times Hysteresis: the noise between measurements
// of equal workers and the tolerance of shares together must not cause a plan. A new
// generation costs a part of a step, which such a gain soon pays back.
const Worthwhile = 1.3

// Rebalance compares a plan with the shares that Make gives the same members for their
// present speeds. It returns by which factor steps would be shorter, and a text that names
// the change. The gain is 1 if nothing would change: no division is better, the members
// differ, or a member that computes has not measured its speed.
func Rebalance(previous wire.Plan, members []Candidate) (gain float64, reason string) {
	next := Make(previous, members, previous.MicroBatches, "")
	before, ok := sharesOf(previous, next)
	if !ok {
		return 1, ""
	}
	speeds, after := make([]float64, len(before)), make([]int, len(before))
	for i, c := range order(previous, members) {
		speeds[i], after[i] = c.Speed, next.Members[i].Share
		if before[i] > 0 && !measured(c.Speed) {
			return 1, ""
		}
	}
	if slices.Equal(before, after) {
		return 1, ""
	}
	return slowness(speeds, before) / slowness(speeds, after), explain(next, speeds, before)
}

// Slow returns each speed as a part of the median if it is clearly less, and 0 otherwise.
func Slow(speeds []float64) []float64 {
	parts := relative(speeds)
	for i, p := range parts {
		if p*Worthwhile >= 1 {
			parts[i] = 0
		}
	}
	return parts
}

// relative divides speeds by their median: by the higher one of two, so that the slower of
// two workers is the slow one. An unknown speed counts as the median.
func relative(speeds []float64) []float64 {
	out := slices.Repeat([]float64{1}, len(speeds))
	sorted := slices.DeleteFunc(slices.Clone(speeds), func(s float64) bool { return !measured(s) })
	if len(sorted) == 0 {
		return out
	}
	slices.Sort(sorted)
	median := sorted[len(sorted)/2]
	for i, s := range speeds {
		if measured(s) {
			out[i] = s / median
		}
	}
	return out
}

// explain names the members whose speed changes the shares: the slow ones that get fewer
// micro-batches, or else the one whose share changes most.
func explain(p wire.Plan, speeds []float64, before []int) string {
	parts, slow := relative(speeds), Slow(speeds)
	var all []string
	say := func(i int) {
		m := p.Members[i]
		all = append(all, fmt.Sprintf("%s computes %s: %d of %d micro-batches", m.ID, describeSpeed(parts[i]), m.Share, p.MicroBatches))
	}
	most := 0
	for i, m := range p.Members {
		if slow[i] > 0 && m.Share < before[i] {
			say(i)
		}
		change := func(i int) int {
			d := p.Members[i].Share - before[i]
			return max(d, -d)
		}
		fewest := func(i int) int { return min(p.Members[i].Share, before[i]) }
		if change(i) > change(most) || change(i) == change(most) && fewest(i) < fewest(most) {
			most = i
		}
	}
	if len(all) == 0 {
		say(most)
	}
	return strings.Join(all, ", ")
}

// describeSpeed describes a part of the median speed.
func describeSpeed(part float64) string {
	switch {
	case math.Max(part, 1/part) <= alike:
		return "as fast as the others"
	case part < 1:
		return fmt.Sprintf("at %.2g of the others' speed", part)
	default:
		return fmt.Sprintf("at %.2g times the others' speed", part)
	}
}
