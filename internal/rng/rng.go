// Package rng is the randomness of a run: streams that are a pure function of
// a few integers such as (seed, epoch, sample).
//
// It guarantees that the same key gives the same stream on every machine and
// in every version of this software, because weights depend on it: the
// generator (PCG-DXSM of math/rand/v2, whose output is specified) and the
// derivations below never change. It is not for secrets.
package rng

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Domains keep streams of different purposes apart when their other key parts
// agree. They are part of the format of a run: append, never renumber.
const (
	DomainInit uint64 = 1 + iota
	DomainShardOrder
	DomainWindowOrder
	DomainCut
	DomainExchange
	DomainMask
	DomainDropout
	DomainSplit
	DomainRounding
)

// Mix hashes a list of words to one word (SplitMix64's finalizer applied in a
// chain). The order and the number of the parts matter.
func Mix(parts ...uint64) uint64 {
	h := uint64(len(parts)) * 0x9e3779b97f4a7c15
	for _, p := range parts {
		h += p + 0x9e3779b97f4a7c15
		h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9
		h = (h ^ (h >> 27)) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// Source is one stream. It is not safe for concurrent use.
type Source struct {
	pcg    rand.PCG
	spare  float64
	spared bool
}

// New returns the stream of a key.
func New(parts ...uint64) *Source {
	s := &Source{}
	h := Mix(parts...)
	s.pcg.Seed(h, Mix(h, 0x6772616d6d65))
	return s
}

// Uint64 returns 64 random bits.
func (s *Source) Uint64() uint64 { return s.pcg.Uint64() }

// IntN returns a uniform integer in [0, n), without bias (Lemire, "Fast Random
// Integer Generation in an Interval", 2019). n <= 1 gives 0.
func (s *Source) IntN(n int) int {
	if n <= 1 {
		return 0
	}
	bound := uint64(n)
	hi, lo := bits.Mul64(s.Uint64(), bound)
	if lo < bound {
		threshold := -bound % bound
		for lo < threshold {
			hi, lo = bits.Mul64(s.Uint64(), bound)
		}
	}
	return int(hi)
}

// Float64 returns a uniform number in [0, 1) with 53 random bits.
func (s *Source) Float64() float64 {
	return float64(s.Uint64()>>11) / (1 << 53)
}

// Normal returns a standard normal number (Marsaglia's polar method, so that
// only Log and Sqrt are needed, which Go computes alike on every machine).
func (s *Source) Normal() float64 {
	if s.spared {
		s.spared = false
		return s.spare
	}
	for {
		u := float64(2*s.Float64()) - 1
		v := float64(2*s.Float64()) - 1
		q := float64(u*u) + float64(v*v)
		if q > 0 && q < 1 {
			f := math.Sqrt(-2 * math.Log(q) / q)
			s.spare, s.spared = v*f, true
			return u * f
		}
	}
}

// Perm returns a uniform permutation of [0, n).
func (s *Source) Perm(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		p[i] = int32(i)
	}
	for i := n - 1; i > 0; i-- {
		j := s.IntN(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
