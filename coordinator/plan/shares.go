package plan

import (
	"math"
	"slices"
)

const (
	// alike is the ratio of the fastest to the slowest member up to which the
	// difference counts as noise of the measurement.
	alike = 1.15
	// Hysteresis is by which factor a step may be longer than necessary before a new plan
	// changes shares.
	Hysteresis = 1.1
)

// Shares divides micro-batches in proportion to speeds by the largest remainder,
// with at least one for each member if there are enough. Members that are
// equally entitled are served in ring order.
//
// With quotas q_i = m·s_i/Σs, the largest remainder is the division that
// minimises Σ(share_i − q_i)². Giving the next micro-batch to the member that is furthest
// below its quota finds it under the lower bound, too, because the sum is convex in each
// share.
func Shares(speeds []float64, microBatches int) []int {
	shares := make([]int, len(speeds))
	if len(speeds) == 0 {
		return shares
	}
	quotas := quotas(speeds, microBatches)
	left := microBatches
	if microBatches >= len(speeds) {
		for i := range shares {
			shares[i] = 1
		}
		left -= len(shares)
	}
	for range left {
		next := 0
		for i := range shares {
			if quotas[i]-float64(shares[i]) > quotas[next]-float64(shares[next])+1e-9 {
				next = i
			}
		}
		shares[next]++
	}
	return shares
}

// quotas are the exact shares, before rounding.
func quotas(speeds []float64, microBatches int) []float64 {
	clean := known(speeds)
	if slices.Max(clean) <= alike*slices.Min(clean) {
		clean = slices.Repeat([]float64{1}, len(clean))
	}
	sum := 0.0
	for _, s := range clean {
		sum += s
	}
	for i, s := range clean {
		clean[i] = s / sum * float64(microBatches)
	}
	return clean
}

// measured reports whether a speed is known.
func measured(speed float64) bool { return speed > 0 && speed < 1e12 } // not NaN either

// known replaces unknown speeds by the mean of the others.
func known(speeds []float64) []float64 {
	sum, n := 0.0, 0.0
	for _, s := range speeds {
		if measured(s) {
			sum += s
			n++
		}
	}
	mean := 1.0
	if n > 0 {
		mean = sum / n
	}
	clean := slices.Clone(speeds)
	for i, s := range clean {
		if !measured(s) {
			clean[i] = mean
		}
	}
	return clean
}

// slowness is how long the slowest member computes for a step, in seconds where speeds
// are known.
func slowness(speeds []float64, shares []int) float64 {
	worst := 0.0
	for i, s := range known(speeds) {
		worst = math.Max(worst, float64(shares[i])/s)
	}
	return worst
}
