package roster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// A worker behind a slow link can make a run slower than it is without that worker: every
// step waits for its frames. So the pace of the run is measured with such a worker and
// without it. Where the run is clearly slower with it, the worker is left out until it
// would help, and a warning names it. Only measurements count, over several steps and
// twice in a row.
//
// Workers of one host have no slow link between them: they are named, but not left out.

const (
	// slowerPart: below this part of the pace without a worker, the pace with it is
	// clearly slower.
	slowerPart = 0.9
	// slowerPartOneHost is the same among workers of one host, which disturb each other
	// at times.
	slowerPartOneHost = 0.6
	// fasterFactor: from this factor on, a run is faster without a worker.
	fasterFactor = 1.05
	// A worker that was there from the beginning is left out for a trial where a step
	// takes trialFactor times as long as its computation alone, and at least the share
	// trialRing of the time goes into the ring.
	trialFactor = 1.5
	trialRing   = 0.4
)

// slowBackoff is for how long a worker is left out.
var slowBackoff = waiting.Backoff{First: 5 * time.Minute, Longest: time.Hour}

// slowdown is a worker that made the run slower, or may.
type slowdown struct {
	times         int       // how often in a row it was left out
	until         time.Time // when it is tried again
	base          []string  // the members without it
	with, without float64   // tokens a second; without 0: not measured yet
	behind        bool      // it cannot catch up from outside: its link is slower than the run
	onTrial       bool      // it is left out to see whether the run is faster
}

// leaveOutSlow decides whether to go on without members that make the run slower. It
// returns the members that stay, and the reason; "" where all of them stay.
func (r *Roster) leaveOutSlow(now time.Time, stay []*worker) ([]*worker, string) {
	ids := idsOf(stay)
	if r.intent.Stop || !r.ringBroken.IsZero() || !slices.Equal(ids, r.pace.members) {
		r.slowStretches = 0
		return stay, ""
	}
	with, ok := r.pace.measured(now, r.rebalancePause())
	if !ok {
		return stay, ""
	}
	r.judgeTrials(now, with)
	base, extra := r.pace.fastestSubset(now, ids)
	switch {
	case len(base.members) < max(1, r.cfg.Workers.Min) || r.keepUntil[strings.Join(ids, " ")].After(now):
		base, extra = r.trialWithout(now, stay, with)
	case with.steps >= r.slowThreshold(stay, extra)*base.steps:
		for _, id := range ids {
			delete(r.slowdowns, id) // it helps, or does no harm
		}
		base, extra, r.costlyMembers = pace{}, nil, nil
	}
	if extra == nil {
		r.slowStretches = 0
		return stay, ""
	}
	if r.slowStretches++; with.steps < base.steps/2 {
		r.slowStretches++ // there is no doubt
	}
	if r.slowStretches < 2 {
		return stay, ""
	}
	r.slowStretches = 0
	if r.cfg.KeepSlow || r.shareLocation(stay, extra) {
		r.costlyMembers = &slowdown{base: base.members, with: with.tokens, without: base.tokens}
		return stay, ""
	}
	reason := ""
	for _, id := range extra {
		s := r.slowdownOf(id)
		s.times++
		s.base, s.with, s.without, s.onTrial, s.behind = base.members, with.tokens, base.tokens, base.tokens == 0, false
		s.until = now.Add(slowBackoff.After(s.times))
		reason = s.text(id) + ": going on without it"
	}
	return slices.DeleteFunc(slices.Clone(stay), func(w *worker) bool { return slices.Contains(extra, w.reg.ID) }), reason
}

// slowThreshold is the part of the pace without some members below which the pace with
// them is slower.
func (r *Roster) slowThreshold(stay []*worker, extra []string) float64 {
	if r.shareLocation(stay, extra) {
		return slowerPartOneHost
	}
	return slowerPart
}

// shareLocation reports whether some of the members are where others are, too.
func (r *Roster) shareLocation(stay []*worker, extra []string) bool {
	for _, w := range stay {
		if !slices.Contains(extra, w.reg.ID) {
			continue
		}
		if slices.ContainsFunc(stay, func(o *worker) bool { return !slices.Contains(extra, o.reg.ID) && location(o) == location(w) }) {
			return true
		}
	}
	return false
}

// trialWithout returns the members at the location with the slowest link, and the others
// as the base, where the others compute so fast that they may do better alone and that was
// not measured yet.
func (r *Roster) trialWithout(now time.Time, stay []*worker, with pace) (base pace, extra []string) {
	if r.keepUntil[strings.Join(with.members, " ")].After(now) || with.reduced < trialRing || with.steps == 0 {
		return pace{}, nil
	}
	groups := map[string][]*worker{}
	for _, w := range stay {
		groups[location(w)] = append(groups[location(w)], w)
	}
	if len(groups) < 2 {
		return pace{}, nil
	}
	far := slices.MaxFunc(slices.Sorted(maps.Keys(groups)), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.planPatience(groups[a]), r.planPatience(groups[b])), cmp.Compare(speedOf(groups[b]), speedOf(groups[a])))
	})
	rest := slices.DeleteFunc(slices.Clone(stay), func(w *worker) bool { return location(w) == far })
	speed := speedOf(rest)
	if len(rest) < max(1, r.cfg.Workers.Min) || speed == 0 || speed <= trialFactor*with.steps*float64(r.cfg.MicroBatches) {
		return pace{}, nil
	}
	if _, known := r.pace.of(now, idsOf(rest)); known {
		return pace{}, nil // it was measured, and was no better
	}
	return pace{members: idsOf(rest)}, idsOf(groups[far])
}

// judgeTrials finds out whether the run is faster without the workers on trial.
func (r *Roster) judgeTrials(now time.Time, without pace) {
	for _, id := range slices.Sorted(maps.Keys(r.slowdowns)) {
		s := r.slowdowns[id]
		if s.behind || !slices.Equal(s.base, without.members) || !s.onTrial && s.without > 0 {
			continue
		}
		s.onTrial, s.without = false, without.tokens
		if s.with > 0 && without.tokens < fasterFactor*s.with {
			all := slices.Sorted(slices.Values(append(slices.Clone(s.base), id)))
			r.keepUntil[strings.Join(all, " ")] = now.Add(slowBackoff.Longest)
			delete(r.slowdowns, id)
		}
	}
}

func (r *Roster) slowdownOf(id string) *slowdown {
	if r.slowdowns[id] == nil {
		r.slowdowns[id] = &slowdown{}
	}
	return r.slowdowns[id]
}

// slowLinkWait says why a worker is left out that makes the run slower; "": it is not.
func (r *Roster) slowLinkWait(now time.Time, w *worker) string {
	id := w.reg.ID
	if r.cfg.KeepSlow {
		return ""
	}
	if w.beat.Behind && r.aloneAtLocation(w) {
		s := r.slowdownOf(id)
		s.behind = true
		return s.text(id)
	}
	s := r.slowdowns[id]
	if s == nil {
		return ""
	}
	s.behind = false         // it keeps up now
	if !s.until.After(now) { // it is tried again
		if s.times == 0 {
			delete(r.slowdowns, id)
		}
		return ""
	}
	for _, o := range s.base {
		if r.memberNamed(o) == nil {
			return "" // the members without it have changed: the run may need it
		}
	}
	return s.text(id) + ", tried again in " + rounded(s.until.Sub(now)).String()
}

// text says what was measured, for people.
func (s *slowdown) text(id string) string {
	switch {
	case s.behind:
		return id + " does not keep up with the run: its link is slower than the members' steps, and every step would wait for it"
	case s.without == 0:
		return fmt.Sprintf("with %s most of the time goes into exchanging gradients", id)
	default:
		return fmt.Sprintf("with %s the run makes %.0f tokens/s, without it %.0f", id, s.with, s.without)
	}
}

// aloneAtLocation reports whether no member is where a worker is.
func (r *Roster) aloneAtLocation(w *worker) bool {
	return !slices.ContainsFunc(r.members(), func(o *worker) bool { return o.gone == "" && location(o) == location(w) })
}

// Slowdowns are warnings of workers that are left out, or kept although the run is faster
// without them.
func (r *Roster) Slowdowns() []wire.Warning {
	var all []wire.Warning
	warn := func(subject, text string) {
		all = append(all, wire.Warning{Kind: wire.WarnCommunicationBound, Subject: subject, Text: "communication-bound: " + text})
	}
	for _, w := range r.sorted() {
		s := r.slowdowns[w.reg.ID]
		if s == nil || !w.registered || w.gone != "" || w.waitReason == "" {
			continue
		}
		warn(w.reg.ID, fmt.Sprintf("%s faster; %s (keep_slow_workers takes it in all the same)", workersAre(len(r.plan.Members)), w.waitReason))
	}
	if b := r.costlyMembers; b != nil && len(b.base) < len(r.plan.Members) {
		warn("", fmt.Sprintf("%s faster: %s alone made %.0f tokens/s, all %d members make %.0f", workersAre(len(b.base)), strings.Join(b.base, ", "), b.without, len(r.plan.Members), b.with))
	}
	return all
}

func workersAre(n int) string {
	if n == 1 {
		return "one worker is"
	}
	return fmt.Sprintf("%d workers are", n)
}

// location is where a worker is: its host, and the address at which others reach it.
func location(w *worker) string {
	_, address, ok := strings.Cut(w.reg.Mailbox, "://")
	if !ok {
		return w.reg.Host
	}
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		address = address[:i]
	}
	return w.reg.Host + " " + address
}

func idsOf(workers []*worker) []string {
	ids := make([]string, len(workers))
	for i, w := range workers {
		ids[i] = w.reg.ID
	}
	slices.Sort(ids)
	return ids
}

// speedOf is how many micro-batches some workers compute in a second together; 0 where
// the speed of one is not known.
func speedOf(workers []*worker) (sum float64) {
	for _, w := range workers {
		if w.speed() <= 0 {
			return 0
		}
		sum += w.speed()
	}
	return sum
}
