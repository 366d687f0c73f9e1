package meter

import (
	"time"

	"github.com/gramme-project/gramme/energy"
)

// instant is a moment, in nanoseconds: on the host's clock since boot, suspension
// included; as wall time, which is only a label; and how long the host was suspended
// since it booted.
type instant struct{ boot, wall, asleep int64 }

// awake is the time since boot in which the host was not suspended.
func (i instant) awake() int64 { return i.boot - i.asleep }

// awakeSince is how long the host was awake since another moment.
func (i instant) awakeSince(then instant) time.Duration {
	return time.Duration(i.awake() - then.awake())
}

// slot is what a process spent in one phase of one generation.
type slot struct {
	phase      energy.Phase
	generation uint64
	firstStep  uint64 // step
	lastStep   uint64
	nanos      uint64 // of time
	busy       uint64 // of processor time
}

// addSlot merges s into slots, one per phase and generation. The newest slots are the
// likeliest to match.
func addSlot(slots []slot, s slot) []slot {
	for i := len(slots) - 1; i >= 0; i-- {
		if t := &slots[i]; t.phase == s.phase && t.generation == s.generation {
			t.firstStep, t.lastStep = min(t.firstStep, s.firstStep), max(t.lastStep, s.lastStep)
			t.nanos += s.nanos
			t.busy += s.busy
			return slots
		}
	}
	return append(slots, s)
}

// timeline collects the slots between two samples. Time and processor time that run
// backwards count as standing still.
type timeline struct {
	slots []slot
	now   slot // the current phase, generation and step; no amounts
	boot  int64
	busy  uint64
}

func newTimeline(boot int64, busy uint64, p energy.Phase) timeline {
	return timeline{now: slot{phase: p}, boot: boot, busy: busy}
}

// advance charges the time since the last call to the current phase.
func (t *timeline) advance(boot int64, busy uint64) {
	s := t.now
	s.nanos = uint64(max(0, boot-t.boot))
	if busy > t.busy {
		s.busy = busy - t.busy
	}
	if s.nanos > 0 || s.busy > 0 || len(t.slots) == 0 {
		t.slots = addSlot(t.slots, s)
	}
	t.boot, t.busy = max(t.boot, boot), max(t.busy, busy)
}

// change makes another phase the current one.
func (t *timeline) change(boot int64, busy uint64, p energy.Phase, generation, step uint64) {
	t.advance(boot, busy)
	t.now = slot{phase: p, generation: generation, firstStep: step, lastStep: step}
}

// cut returns the slots since the last cut; there is at least one.
func (t *timeline) cut(boot int64, busy uint64) []slot {
	t.advance(boot, busy)
	slots := t.slots
	t.slots = nil
	return slots
}
