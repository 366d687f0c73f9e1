package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

func TestShares(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		speeds []float64
		m      int
		want   []int
	}{
		{[]float64{1}, 7, []int{7}},
		{[]float64{2, 2, 2}, 8, []int{3, 3, 2}},
		{[]float64{1, 3}, 8, []int{2, 6}},
		{[]float64{1, 1000}, 4, []int{1, 3}},
		{[]float64{1, 1.1, 0.99}, 4, []int{2, 1, 1}}, // noise
		{[]float64{0, nan, -1, math.Inf(1)}, 4, []int{1, 1, 1, 1}},
		{[]float64{0, 2, 4}, 9, []int{3, 2, 4}}, // unknown: the mean
		{[]float64{1, 1, 1}, 2, []int{1, 1, 0}},
		{[]float64{1, 2, 4, 1}, 2, []int{0, 1, 1, 0}},
		{nil, 4, []int{}},
	} {
		if got := Shares(c.speeds, c.m); !slices.Equal(got, c.want) {
			t.Errorf("%v of %d: %v, want %v", c.speeds, c.m, got, c.want)
		}
	}
}

// naive tries every division and returns the least sum of squared distances from
// the quotas.
func naive(q []float64, left, least int) float64 {
	if len(q) == 0 {
		if left > 0 {
			return math.Inf(1)
		}
		return 0
	}
	best := math.Inf(1)
	for s := least; s <= left; s++ {
		best = min(best, (float64(s)-q[0])*(float64(s)-q[0])+naive(q[1:], left-s, least))
	}
	return best
}

func TestSharesAreTheNearestToTheQuotas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		n, m := 1+rng.IntN(4), 1+rng.IntN(9)
		speeds := make([]float64, n)
		for i := range speeds {
			speeds[i] = 0.1 + rng.ExpFloat64()*3
		}
		shares, q := Shares(speeds, m), quotas(speeds, m)
		least := 0
		if m >= n {
			least = 1
		}
		sum, cost := 0, 0.0
		for i, s := range shares {
			sum += s
			cost += (float64(s) - q[i]) * (float64(s) - q[i])
			if s < least {
				t.Fatalf("%v of %d: %v", speeds, m, shares)
			}
			for j := range shares {
				if speeds[i] > alike*speeds[j] && shares[i] < shares[j] {
					t.Fatalf("%v of %d: the faster has less: %v", speeds, m, shares)
				}
			}
		}
		if want := naive(q, m, least); sum != m || cost > want+1e-6 {
			t.Fatalf("%v of %d: %v costs %g, the best costs %g", speeds, m, shares, cost, want)
		}
	}
}

func candidates(speeds map[string]float64) []Candidate {
	var out []Candidate
	for id, s := range speeds {
		out = append(out, Candidate{ID: id, Incarnation: "1", Mailbox: "at-" + id, Speed: s})
	}
	return out // in any order
}

func ring(p wire.Plan) (s string) {
	for _, m := range p.Members {
		s += fmt.Sprintf("%s:%d ", m.ID, m.Share)
	}
	return s
}

func TestOrderIsStableAcrossGenerations(t *testing.T) {
	p := Make(wire.Plan{}, candidates(map[string]float64{"c": 1, "a": 1, "d": 1}), 6, "start")
	if ring(p) != "a:2 c:2 d:2 " || p.Generation != 1 || p.Reason != "start" || p.MicroBatches != 6 || p.Members[0].Mailbox != "at-a" {
		t.Fatalf("%+v", p)
	}
	p = Make(p, candidates(map[string]float64{"a": 1, "d": 1, "b": 1}), 6, "c is gone, b came")
	if ring(p) != "a:2 d:2 b:2 " || p.Generation != 2 {
		t.Fatalf("%+v", p)
	}
	// A new incarnation is a newcomer: its state is not there yet.
	again := candidates(map[string]float64{"a": 1, "d": 1, "b": 1})
	for i := range again {
		if again[i].ID == "a" {
			again[i].Incarnation = "2"
		}
	}
	p.Mixed, p.Fingerprint, p.Session, p.Since = true, "f", "s", time.Unix(7, 0)
	q := Make(p, again, 6, "a came back")
	if ring(q) != "d:2 b:2 a:2 " || !q.Mixed || q.Fingerprint != "f" || q.Session != "s" || !q.Since.Equal(p.Since) {
		t.Fatalf("%+v", q)
	}
	if empty := Make(q, nil, 6, "nobody"); len(empty.Members) != 0 || empty.Generation != 4 {
		t.Fatalf("%+v", empty)
	}
}

func TestSharesStandUntilChangingThemPays(t *testing.T) {
	p := Make(wire.Plan{}, candidates(map[string]float64{"a": 1, "b": 2}), 12, "")
	if ring(p) != "a:4 b:8 " {
		t.Fatal(ring(p))
	}
	for _, c := range []struct {
		b    float64
		want string
	}{{1.9, "a:4 b:8 "}, {2.2, "a:4 b:8 "}, {3, "a:3 b:9 "}, {1, "a:6 b:6 "}} {
		if q := Make(p, candidates(map[string]float64{"a": 1, "b": c.b}), 12, ""); ring(q) != c.want {
			t.Errorf("b at %g: %s, want %s", c.b, ring(q), c.want)
		}
	}
}

func TestPlansDependOnTheSetOfMembersOnly(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	p := wire.Plan{}
	for range 2000 {
		speeds := map[string]float64{}
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			if rng.IntN(2) == 0 {
				speeds[id] = 0.5 + rng.Float64()*4
			}
		}
		one, two := Make(p, candidates(speeds), 16, "r"), Make(p, candidates(speeds), 16, "r")
		if !reflect.DeepEqual(one, two) {
			t.Fatalf("%+v\n%+v", one, two)
		}
		// Survivors keep their order.
		last := -1
		for _, m := range one.Members {
			if r := p.Rank(m.ID, m.Incarnation); r >= 0 {
				if r < last {
					t.Fatalf("%s after %s", ring(one), ring(p))
				}
				last = r
			}
		}
		p = one
	}
}

// best tries every division and returns the least time of a step.
func best(speeds []float64, left, least int) float64 {
	if len(speeds) == 0 {
		if left > 0 {
			return math.Inf(1)
		}
		return 0
	}
	fastest := math.Inf(1)
	for s := least; s <= left; s++ {
		fastest = min(fastest, max(float64(s)/speeds[0], best(speeds[1:], left-s, least)))
	}
	return fastest
}

func TestRebalance(t *testing.T) {
	for _, c := range []struct {
		shares []int
		speeds []float64
		want   string
	}{
		{[]int{4, 4}, []float64{1, 1}, ""},
		{[]int{4, 4}, []float64{1, 0.75}, ""}, // 5 and 3 would be 1.07 times as fast
		{[]int{4, 4}, []float64{1, 0.4}, "b computes at 0.4 of the others' speed: 2 of 8 micro-batches"},
		{[]int{6, 2}, []float64{1, 0.4}, ""},
		{[]int{6, 2}, []float64{1, 0.95}, "b computes as fast as the others: 4 of 8 micro-batches"},
		{[]int{2, 2, 2, 2}, []float64{1, 0.3, 1, 0.3}, "b computes at 0.3 of the others' speed: 1 of 8 micro-batches, d computes at 0.3 of the others' speed: 1 of 8 micro-batches"},
		{[]int{4, 4, 4}, []float64{1, 3, 1}, "b computes at 3 times the others' speed: 7 of 12 micro-batches"},
		{[]int{4, 4}, []float64{1, 0}, ""}, // not measured yet
		{[]int{4, 4}, []float64{math.NaN(), 5}, ""},
		{[]int{1, 1}, []float64{1, 0.01}, ""}, // each has one: no division is better
		{[]int{1, 0}, []float64{1, 0}, ""},
		{[]int{1, 0}, []float64{1, 2}, "a computes at 0.5 of the others' speed: 0 of 1 micro-batches"},
		{[]int{8}, []float64{0.001}, ""},
		{nil, nil, ""},
	} {
		speeds, p := map[string]float64{}, wire.Plan{Generation: 1}
		for i, s := range c.shares {
			id := string(rune('a' + i))
			speeds[id] = c.speeds[i]
			p.MicroBatches += s
			p.Members = append(p.Members, wire.Member{ID: id, Incarnation: "1", Share: s})
		}
		if gain, reason := Rebalance(p, candidates(speeds)); (gain > Worthwhile) != (c.want != "") || gain > Worthwhile && reason != c.want {
			t.Errorf("%v at %v: %g, %q, want %q", c.shares, c.speeds, gain, reason, c.want)
		}
	}
	p := Make(wire.Plan{}, candidates(map[string]float64{"a": 1, "b": 1}), 8, "")
	if gain, reason := Rebalance(p, candidates(map[string]float64{"a": 1, "c": 9})); gain != 1 {
		t.Errorf("other members: %s", reason)
	}
}

func TestRebalancePaysOnceAndOnlyWhereAStepBecomesShorter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	paid := 0
	for range 4000 {
		n, m := 1+rng.IntN(4), 1+rng.IntN(9)
		speeds, list := map[string]float64{}, make([]float64, n)
		p := wire.Plan{Generation: 1, MicroBatches: m, Members: make([]wire.Member, n)}
		for i := range n {
			id := string(rune('a' + i))
			list[i] = 0.2 + rng.ExpFloat64()
			speeds[id] = list[i]
			p.Members[i] = wire.Member{ID: id, Incarnation: "1"}
		}
		least := 0
		if m >= n {
			least = 1
			for i := range n {
				p.Members[i].Share = 1
			}
		}
		for range m - n*least {
			p.Members[rng.IntN(n)].Share++
		}
		seconds := func(p wire.Plan) (worst float64) {
			for i, k := range p.Members {
				worst = max(worst, float64(k.Share)/list[i])
			}
			return worst
		}
		gain, reason := Rebalance(p, candidates(speeds))
		pays := gain > Worthwhile
		next := Make(p, candidates(speeds), m, reason)
		ratio := seconds(p) / best(list, m, least)
		switch {
		case math.Abs(gain-seconds(p)/seconds(next)) > 1e-9:
			t.Fatalf("%v of %v: from %s to %s, which is not to gain %g", list, m, ring(p), ring(next), gain)
		case pays && ratio <= 1.3:
			t.Fatalf("%v: %s is within %g of the best", list, ring(p), ratio)
		case !pays && least == 1 && ratio > 2.6:
			// Where each has one, the division nearest to the quotas takes no more than
			// twice the best.
			t.Fatalf("%v: %s takes %g times the best, and stays", list, ring(p), ratio)
		}
		if again, _ := Rebalance(next, candidates(speeds)); again != 1 {
			t.Fatalf("%v: after %s came %s, which is left again", list, ring(p), ring(next))
		}
		if pays {
			paid++
			if named := slices.ContainsFunc(p.Members, func(k wire.Member) bool { return len(reason) > 1 && reason[:2] == k.ID+" " }); !named {
				t.Fatalf("%q names no member", reason)
			}
		}
	}
	if paid < 400 || paid > 3600 {
		t.Errorf("%d of 4000 pay", paid)
	}
}

func TestSlow(t *testing.T) {
	for _, c := range []struct{ speeds, want []float64 }{
		{nil, []float64{}},
		{[]float64{3}, []float64{0}},
		{[]float64{10, 4}, []float64{0, 0.4}}, // of two, the slower
		{[]float64{10, 8}, []float64{0, 0}},
		{[]float64{0, 10, math.NaN(), 5}, []float64{0, 0, 0, 0.5}},
		{[]float64{1, 2, 4, 1}, []float64{0.5, 0, 0, 0.5}},
	} {
		if got := Slow(c.speeds); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.speeds, got, c.want)
		}
	}
}
