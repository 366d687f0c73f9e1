package roster

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// paceMeter measures how fast a set of members trains, and remembers how fast other sets
// did. It compares stretches of the same run that lie close to each other, because the
// speed of a machine changes with what else it does.
type paceMeter struct {
	members []string  // whose pace is measured, sorted
	since   time.Time // when they became the members
	first   uint64    // newest step then
	begun   bool      // the first steps are over; a stretch is measured
	at      time.Time // when the stretch began
	newest  uint64    // newest step that was counted
	tokens  float64   // of the steps of the stretch
	wait    float64   // seconds of these steps that members spent in the ring
	steps   float64

	paces map[string]pace // the newest of each set of members
}

// pace is how fast a set of members trained.
type pace struct {
	members []string
	tokens  float64 // a second
	steps   float64 // a second
	reduced float64 // share of the time that was spent in the ring
	at      time.Time
}

const (
	skipSteps = 2 // at the beginning of a generation: workers that joined have to catch up
	fewSteps  = 8 // over which a pace is measured, unless steps take very long
	// fresh is for how long a pace is compared with that of other members.
	fresh = 3 * time.Minute
)

// begin measures the members of a new plan.
func (m *paceMeter) begin(now time.Time, ids []string, step uint64) {
	ids = slices.Sorted(slices.Values(ids))
	*m = paceMeter{members: ids, since: now, first: step, newest: step, paces: m.paces}
}

// applied counts a step that a member applied.
func (m *paceMeter) applied(now time.Time, step, tokens uint64, reducing float64) {
	if step <= m.newest || len(m.members) == 0 {
		return
	}
	more := float64(step - m.newest)
	m.newest = step
	if !m.begun {
		if step >= m.first+skipSteps {
			m.begun, m.at = true, now
		}
		return
	}
	m.tokens += more * float64(tokens)
	m.wait += more * reducing
	m.steps += more
}

// measured returns the pace of the members once a stretch has enough steps and time, or
// few steps in four times as much. Then the next stretch begins.
func (m *paceMeter) measured(now time.Time, span time.Duration) (pace, bool) {
	p := pace{members: m.members, at: now}
	from := m.at
	if !m.begun {
		from = m.since.Add(span) // catching up takes that long, and not much longer
	}
	took := now.Sub(from)
	switch {
	case len(m.members) == 0 || took < span:
		return p, false
	case m.steps < fewSteps && took < 4*span:
		return p, false
	}
	seconds := took.Seconds()
	p.steps, p.tokens = m.steps/seconds, m.tokens/seconds
	if m.steps == 0 { // the first may be about to come
		p.steps = 1 / seconds
	}
	p.reduced = min(1, m.wait/seconds)
	if m.paces == nil {
		m.paces = map[string]pace{}
	}
	m.paces[strings.Join(m.members, " ")] = p
	m.begun, m.at, m.tokens, m.wait, m.steps = true, now, 0, 0, 0
	return p, true
}

// fastestSubset returns the best recent pace of a part of some members, and the members
// that are not in that part.
func (m *paceMeter) fastestSubset(now time.Time, members []string) (best pace, extra []string) {
	for _, key := range slices.Sorted(maps.Keys(m.paces)) {
		p := m.paces[key]
		if now.Sub(p.at) > fresh || len(p.members) >= len(members) || p.steps <= best.steps {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(members), func(id string) bool { return slices.Contains(p.members, id) })
		if len(rest)+len(p.members) == len(members) { // all of them are members
			best, extra = p, rest
		}
	}
	return best, extra
}

// of returns the pace of a set of members, if it was measured recently.
func (m *paceMeter) of(now time.Time, members []string) (pace, bool) {
	p, ok := m.paces[strings.Join(members, " ")]
	return p, ok && now.Sub(p.at) <= fresh
}
