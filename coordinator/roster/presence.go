package roster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// A worker behind a slow link can make a run slower than it is without: every step
// waits for its frames. So the pace of a run is measured with such a worker and without
// it, and where the run is clearly slower with it, it is left out until it would help,
// and named. Only what was measured counts, over several steps, twice in a row.
//
// Workers of one host have no link between them that could be slow: they are named, and
// not left out.

const (
	// slower is up to which part of the pace without a worker the pace with it is
	// clearly slower.
	slower = 0.9
	// clearly is the same among workers of one host, which disturb each other at times.
	clearly = 0.6
	// faster is from which factor on a run is faster without.
	faster = 1.05
	// suspicious is how many times as long as its computation alone a step has to take
	// for others to be tried without a worker that was there from the beginning.
	suspicious = 1.5
	// ringBound is the share of the time that goes into the ring then, at least.
	ringBound = 0.4
	// firstLeave is for how long a worker is left out the first time.
	firstLeave = 5 * time.Minute
	// longestLeave is the most.
	longestLeave = time.Hour
)

// slowdown is a worker that made the run slower.
type slowdown struct {
	times         int       // how often in a row it was left out
	until         time.Time // when it is tried again
	base          []string  // the members without it
	with, without float64   // tokens a second; without 0: not measured yet
	behind        bool      // it did not come to be a member: its link is slower than the run
	tried         bool      // it was left out to see whether the run is faster
}

// presence decides whether to go on without members that make the run slower. It
// returns who stays and why, "" where all do.
func (r *Roster) presence(now time.Time, stay []*worker) ([]*worker, string) {
	ids := idsOf(stay)
	if r.intent.Stop || !r.broken.IsZero() || !slices.Equal(ids, r.tempo.members) {
		r.strikes = 0
		return stay, ""
	}
	with, ok := r.tempo.measured(now, r.rest())
	if !ok {
		return stay, ""
	}
	r.judgeTrials(now, with)
	base, extra := r.tempo.without(now, ids)
	switch {
	case len(base.members) < max(1, r.cfg.Workers.Min) || r.helps[strings.Join(ids, " ")].After(now):
		base, extra = r.untried(now, stay, with)
	case with.steps >= r.bound(stay, extra)*base.steps:
		for _, id := range ids {
			delete(r.slowdowns, id) // it helps, or does not matter
		}
		base, extra, r.bounded = pace{}, nil, nil
	}
	if extra == nil {
		r.strikes = 0
		return stay, ""
	}
	if r.strikes++; with.steps < base.steps/2 {
		r.strikes++ // there is no doubt
	}
	if r.strikes < 2 {
		return stay, ""
	}
	r.strikes = 0
	if r.cfg.KeepSlow || r.together(stay, extra) {
		r.bounded = &slowdown{base: base.members, with: with.tokens, without: base.tokens}
		return stay, ""
	}
	reason := ""
	for _, id := range extra {
		s := r.slowdownOf(id)
		s.times++
		s.base, s.with, s.without, s.tried, s.behind = base.members, with.tokens, base.tokens, base.tokens == 0, false
		s.until = now.Add(min(longestLeave, firstLeave<<min(s.times-1, 10)))
		reason = s.text(id) + ": going on without it"
	}
	return slices.DeleteFunc(slices.Clone(stay), func(w *worker) bool { return slices.Contains(extra, w.reg.ID) }), reason
}

// bound is up to which part of the pace without some members that with them is slower.
func (r *Roster) bound(stay []*worker, extra []string) float64 {
	if r.together(stay, extra) {
		return clearly
	}
	return slower
}

// together reports whether some of the members are where others are, too.
func (r *Roster) together(stay []*worker, extra []string) bool {
	for _, w := range stay {
		if !slices.Contains(extra, w.reg.ID) {
			continue
		}
		if slices.ContainsFunc(stay, func(o *worker) bool { return !slices.Contains(extra, o.reg.ID) && place(o) == place(w) }) {
			return true
		}
	}
	return false
}

// untried are the members of the place with the slowest link, where those of the others
// compute so fast that they may do better without, and nobody knows how they do.
func (r *Roster) untried(now time.Time, stay []*worker, with pace) (base pace, extra []string) {
	if r.helps[strings.Join(with.members, " ")].After(now) || with.reduced < ringBound || with.steps == 0 {
		return pace{}, nil
	}
	groups := map[string][]*worker{}
	for _, w := range stay {
		groups[place(w)] = append(groups[place(w)], w)
	}
	if len(groups) < 2 {
		return pace{}, nil
	}
	far := slices.MaxFunc(slices.Sorted(maps.Keys(groups)), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.slowestLink(groups[a]), r.slowestLink(groups[b])), cmp.Compare(speedOf(groups[b]), speedOf(groups[a])))
	})
	rest := slices.DeleteFunc(slices.Clone(stay), func(w *worker) bool { return place(w) == far })
	speed := speedOf(rest)
	if len(rest) < max(1, r.cfg.Workers.Min) || speed == 0 || speed <= suspicious*with.steps*float64(r.cfg.MicroBatches) {
		return pace{}, nil
	}
	if _, known := r.tempo.of(now, idsOf(rest)); known {
		return pace{}, nil // it was measured, and is no better
	}
	return pace{members: idsOf(rest)}, idsOf(groups[far])
}

// judgeTrials finds out whether the run is faster without those who were left out.
func (r *Roster) judgeTrials(now time.Time, without pace) {
	for _, id := range slices.Sorted(maps.Keys(r.slowdowns)) {
		s := r.slowdowns[id]
		if s.behind || !slices.Equal(s.base, without.members) || !s.tried && s.without > 0 {
			continue
		}
		s.tried, s.without = false, without.tokens
		if s.with > 0 && without.tokens < faster*s.with {
			all := slices.Sorted(slices.Values(append(slices.Clone(s.base), id)))
			r.helps[strings.Join(all, " ")] = now.Add(longestLeave)
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

// slows says why a worker is left out that makes the run slower, "" where it is not.
func (r *Roster) slows(now time.Time, w *worker) string {
	id := w.reg.ID
	if r.cfg.KeepSlow {
		return ""
	}
	if w.beat.Behind && r.elsewhere(w) {
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
			return "" // without these the run may need it
		}
	}
	return s.text(id) + ", tried again in " + rounded(s.until.Sub(now)).String()
}

// text says what was measured.
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

// elsewhere reports whether a worker is on another host than all members.
func (r *Roster) elsewhere(w *worker) bool {
	return !slices.ContainsFunc(r.members(), func(o *worker) bool { return o.gone == "" && place(o) == place(w) })
}

// Slowdowns warns of workers that are left out, or kept, though the run is faster
// without them.
func (r *Roster) Slowdowns() []wire.Warning {
	var all []wire.Warning
	warn := func(subject, text string) {
		all = append(all, wire.Warning{Kind: wire.WarnCommunicationBound, Subject: subject, Text: "communication-bound: " + text})
	}
	for _, w := range r.sorted() {
		s := r.slowdowns[w.reg.ID]
		if s == nil || !w.registered || w.gone != "" || w.waits == "" {
			continue
		}
		warn(w.reg.ID, fmt.Sprintf("%s faster; %s (keep_slow_workers takes it in all the same)", these(len(r.plan.Members)), w.waits))
	}
	if b := r.bounded; b != nil && len(b.base) < len(r.plan.Members) {
		warn("", fmt.Sprintf("%s faster: %s alone made %.0f tokens/s, all %d members make %.0f", these(len(b.base)), strings.Join(b.base, ", "), b.without, len(r.plan.Members), b.with))
	}
	return all
}

func these(n int) string {
	if n == 1 {
		return "one worker is"
	}
	return fmt.Sprintf("%d workers are", n)
}

// place is where a worker is: its host, and the address at which others reach it.
func place(w *worker) string {
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

// speedOf is how many micro-batches some workers compute in a second together, 0 where
// one has not measured it.
func speedOf(workers []*worker) (sum float64) {
	for _, w := range workers {
		if w.speed() <= 0 {
			return 0
		}
		sum += w.speed()
	}
	return sum
}
