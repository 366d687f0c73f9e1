package energy

import (
	"math"
	"math/bits"
)

// RawDelta returns how far a counter went from start to end with the given number of
// wraps; false if that is impossible: a fall without a wrap, a wrap of a counter without a
// range, or more than 64 bits.
func RawDelta(start, end, wrapRange, wraps uint64) (uint64, bool) {
	if wraps == 0 {
		return end - start, end >= start
	}
	if wrapRange == 0 || start > wrapRange || end > wrapRange {
		return 0, false
	}
	high, around := bits.Mul64(wraps-1, wrapRange)
	sum, c1 := bits.Add64(wrapRange-start, end, 0)
	sum, c2 := bits.Add64(sum, around, 0)
	return sum, high == 0 && c1 == 0 && c2 == 0
}

// Scale returns (raw·num + carry) / den in whole microjoules and the remainder, which the
// caller passes as the next carry (carry < den), so that nothing is lost over many calls;
// false if the result does not fit an int64.
func Scale(raw, num, den, carry uint64) (uj int64, rest uint64, ok bool) {
	if den == 0 || carry >= den {
		return 0, 0, false
	}
	high, low := bits.Mul64(raw, num)
	low, c := bits.Add64(low, carry, 0)
	high += c
	if high >= den {
		return 0, 0, false
	}
	quotient, rest := bits.Div64(high, low, den)
	if quotient > math.MaxInt64 {
		return 0, 0, false
	}
	return int64(quotient), rest, true
}

// Split divides total among the weights in proportion, exactly: the parts add up to total,
// and each is within 1 of its share. If all weights are 0, the last part gets everything.
// The parts are appended to dst.
//
// It needs total >= 0, at least one weight, and weights whose sum fits 64 bits.
func Split(dst []int64, total int64, weights []uint64) []int64 {
	var sum uint64
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		for range len(weights) - 1 {
			dst = append(dst, 0)
		}
		return append(dst, total)
	}
	var upTo uint64
	var given int64
	for _, w := range weights {
		upTo += w
		high, low := bits.Mul64(uint64(total), upTo)
		share, _ := bits.Div64(high, low, sum) // upTo <= sum, so it is at most total
		dst = append(dst, int64(share)-given)
		given = int64(share)
	}
	return dst
}

// Add returns a + b of two non-negative amounts; false if it overflows.
func Add(a, b int64) (int64, bool) {
	if b > math.MaxInt64-a {
		return 0, false
	}
	return a + b, true
}

// AddSaturating returns a + b of two non-negative amounts, or the largest int64 when it
// overflows.
func AddSaturating(a, b int64) int64 {
	if sum, ok := Add(a, b); ok {
		return sum
	}
	return math.MaxInt64
}
