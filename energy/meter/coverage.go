package meter

import (
	"cmp"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// counterLock is the right to use counters of the host, which one process has at a time.
type counterLock interface {
	// tryLock reports whether this process now has the lock, for its run.
	tryLock() bool
	// publish tells other processes which kinds of device the counters cover, and when
	// they were last read.
	publish(covers []string, until int64)
	// otherHolder returns the other process that has the lock.
	otherHolder() (holder, bool)
	release()
}

// holder is a process that reads counters of the host.
type holder struct {
	Run     string   `json:"run"`
	Process string   `json:"process"`
	Covers  []string `json:"covers,omitempty"`   // kinds of device
	Until   int64    `json:"until_ns,omitempty"` // its last sample, on the clock since boot
}

// lastRead returns when a holder that was seen at a moment had last read the counters: a
// frozen holder measures nothing, and nobody knows whether it will go on.
func (h holder) lastRead(at instant) instant {
	late := at.boot - h.Until
	if h.Until == 0 || late < 0 {
		late = 0
	}
	return instant{boot: at.boot - late, wall: at.wall - late, asleep: at.asleep}
}

// coverage says which process measures a kind of device for this one.
type coverage struct {
	by    measuredBy
	run   string
	until instant // its last sample
}

type measuredBy int

const (
	byNobody   measuredBy = iota
	byOtherRun            // a process of another run, whose account has it
	bySibling             // another process of this run
	byUs                  // this process, with a counter
)

// Reasons of gaps.
const (
	unreadable       = "could not be read"
	ownerEnded       = "the process that read the counter of the host ended"
	notUsed          = "the process that reads the counters of the host does not use this one any more"
	notCountedYet    = "it has not counted yet"
	countedByRunText = "counters of the host are read by run %s, whose account has what was drawn"
)

// covers returns the kinds of device that this process measures with counters.
func (b *counterGroup) covers() (kinds []string) {
	for _, p := range b.gauges {
		if p.state == measuring {
			kinds = append(kinds, p.desc.Covers...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// uncovered handles a counter that is not used while others of its kind are: nothing
// estimates what it would have measured, so that is a gap.
func (b *counterGroup) uncovered(i int, covers []string, reason string, at instant) []energy.Record {
	p := b.gauges[i]
	if p.state == measuring || p.tier == tierNone {
		return nil
	}
	beside := false
	for _, other := range b.gauges {
		beside = beside || other.state == measuring && other.tier == p.tier
	}
	for _, kind := range p.desc.Covers {
		beside = beside && slices.Contains(covers, kind)
	}
	switch {
	case beside && p.state == missing:
		p.reason = cmp.Or(reason, p.reason)
	case beside:
		if b.unmeasured == "" {
			p.standBy(at) // it was not missing until now
		}
		p.openGapNow(cmp.Or(reason, notCountedYet))
	case p.state == missing:
		return p.closeGapAndStandBy(at)
	}
	return nil
}

// coverage adds the kinds of device that this group covers, and which process measures
// them.
func (b *counterGroup) coverage(run string, at instant, all map[string]coverage) {
	now := coverage{by: byUs, until: at}
	kinds := b.covered
	if !b.owned {
		kinds = b.otherHolder.Covers
		now = coverage{byOtherRun, b.otherHolder.Run, b.otherHolder.lastRead(at)}
		if b.otherHolder.Run == run {
			now.by = bySibling
		}
		if !b.heldElsewhere {
			return
		}
	}
	for _, kind := range kinds {
		if now.by > all[kind].by {
			all[kind] = now
		}
	}
}
