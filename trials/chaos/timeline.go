package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
)

// Seen is what the status showed at a moment.
type Seen struct {
	At         time.Time
	Up         int // how often `gramme up` had been started
	State      wire.RunState
	Step       uint64
	Generation uint64
	Reason     string
	Members    []Member // of the ring, by rank
	Service    map[wire.Role]int
}

// Member is a worker in the ring.
type Member struct {
	ID    string
	PID   int
	Share int // micro-batches of a step
}

func seenOf(now time.Time, up int, s wire.Status) Seen {
	out := Seen{At: now, Up: up, State: s.State, Step: s.Step, Generation: s.Generation, Reason: s.Reason, Service: map[wire.Role]int{}}
	ranks := map[int]Member{}
	for _, p := range s.Processes {
		switch {
		case p.Role != wire.RoleWorker:
			out.Service[p.Role] = p.PID
		case p.Rank >= 0:
			ranks[p.Rank] = Member{p.ID, p.PID, p.MicroBatches}
		}
	}
	for r := range len(s.Processes) {
		if m, ok := ranks[r]; ok {
			out.Members = append(out.Members, m)
		}
	}
	return out
}

// same tells whether nothing but time differs.
func (s Seen) same(o Seen) bool {
	return s.Up == o.Up && s.State == o.State && s.Step == o.Step && s.Generation == o.Generation && s.Reason == o.Reason &&
		slices.Equal(s.Members, o.Members) && s.Service[wire.RoleCoordinator] == o.Service[wire.RoleCoordinator] &&
		s.Service[wire.RoleCheckpoint] == o.Service[wire.RoleCheckpoint]
}

// has tells whether a process is in the ring.
func (s Seen) has(pid int) bool {
	return slices.ContainsFunc(s.Members, func(m Member) bool { return m.PID == pid })
}

// target is what a fault was done to.
type target struct {
	id     string
	pid    int
	share  int
	way    string    // of a cut that is one way only: to or from it
	by     string    // of a crash: the signal
	before Seen      // the last status before
	at     time.Time // when it was done
	up     int       // of which start of `gramme up` the steps after it are
}

// outcome is what followed on a fault, as far as it was seen.
type outcome struct {
	detected, next, regained time.Time // zero: not seen
	reason                   string
	from                     uint64        // newest step that was left after it
	still                    time.Duration // longest time between two steps, until the next one
}

// notices tells whether a status shows that the cluster knows of a fault.
func (t target) notices(k Kind, s Seen) bool {
	newer := s.Generation > t.before.Generation
	switch k {
	case KillWorker, CrashWorker, FreezeShort, FreezeLong, CutShort, CutLong, CutOneWay, Hang:
		return newer && !s.has(t.pid) || s.State == wire.StateWaiting && t.named(s.Reason)
	case KillCoordinator, CrashCoordinator:
		pid := s.Service[wire.RoleCoordinator]
		return pid != 0 && pid != t.pid
	case KillCheckpoint, CrashCheckpoint:
		pid := s.Service[wire.RoleCheckpoint]
		return pid != 0 && pid != t.pid
	case Drain:
		return newer && !s.has(t.pid)
	case ScaleDown:
		return newer && len(s.Members) < len(t.before.Members)
	case ScaleUp:
		return newer && len(s.Members) > len(t.before.Members)
	case KillEtcd, KillNATS, EtcdAway, NATSAway:
		return newer
	}
	return s.Up >= t.up // the same command again is up
}

// named reports whether a reason is that the target is gone.
func (t target) named(reason string) bool { return strings.Contains(reason, t.id+" is gone") }

// expected tells whether a fault has to be noticed. A worker alone that is frozen
// has nobody who could tell, and one frozen for a moment need not be missed.
func (t target) expected(k Kind) bool {
	switch k {
	case FreezeShort, CutShort, KillEtcd, KillNATS, EtcdAway, NATSAway:
		return false
	case CutOneWay: // that nothing comes to a worker is known a little later: it may be over
		return t.way == "from" && len(t.before.Members) > 1
	case FreezeLong, CutLong:
		return len(t.before.Members) > 1
	}
	return true
}

// underWay is how long news of a step that was done before its worker was frozen
// may be on the way.
const underWay = 20 * time.Millisecond

// outcome reads from what the status showed what followed on a fault. Where it
// was noticed, the next step is the first one after that: a step that was under
// way may still have been completed without the one that is gone.
func (t target) outcome(k Kind, seen []Seen) outcome {
	var o outcome
	base, from := t.before.Step, false
	var moved Seen // when a step was seen last
	for _, s := range seen {
		if s.Step > moved.Step {
			if !moved.At.IsZero() && (o.next.IsZero() || o.detected.IsZero()) {
				o.still = max(o.still, s.At.Sub(moved.At))
			}
			moved = s
		}
		if s.At.Before(t.at) || s.Up < t.up {
			continue
		}
		if o.detected.IsZero() && t.notices(k, s) {
			o.detected, o.reason = s.At, s.Reason
			if k.is(worker | resize) { // no step waits for the others
				o.next, base = time.Time{}, max(base, s.Step) // what came before does not count
			}
		}
		// The worker is left out at once, and the plan that says why is stored a moment
		// later: until then the reason is that of the plan before.
		if !o.detected.IsZero() && k.is(worker) && !t.named(o.reason) && t.named(s.Reason) {
			o.reason = s.Reason
		}
		if s.State != wire.StateTraining && s.State != wire.StateDone {
			continue
		}
		if !from && k.is(restart) || from && s.Step < o.from {
			o.next, base = time.Time{}, s.Step // it goes on from here
		}
		if !from || s.Step < o.from {
			o.from, from = s.Step, true
		}
		if k.is(freeze|cut) && s.At.Sub(t.at) < underWay {
			base = max(base, s.Step)
		}
		if o.next.IsZero() && s.Step > base {
			o.next = s.At
		}
		if o.regained.IsZero() && s.Step > t.before.Step {
			o.regained = s.At
		}
	}
	return o
}

// over tells whether nothing more is to be waited for.
func (o outcome) over(t target, k Kind) bool {
	return !o.next.IsZero() && (!o.detected.IsZero() || !t.expected(k))
}

// meanwhile counts the steps that were seen in the first part of a time.
func meanwhile(seen []Seen, from, to time.Time) uint64 {
	var first, last uint64
	for _, s := range seen {
		if s.At.After(to) {
			break
		}
		if s.At.Before(from) || first == 0 {
			first = s.Step
		}
		last = max(last, s.Step)
	}
	return last - min(first, last)
}

// drops adds up by how many steps the newest step fell: what was lost, and had to
// be computed once more.
func drops(seen []Seen) (steps uint64, times int) {
	var newest uint64
	for _, s := range seen {
		if s.State != wire.StateTraining {
			continue
		}
		if s.Step < newest {
			steps += newest - s.Step
			times++
		}
		newest = s.Step
	}
	return steps, times
}

// stepTimes are the durations of steps, each a mean over those that passed from
// one status to the next.
func stepTimes(seen []Seen) []time.Duration {
	var out []time.Duration
	var last Seen
	for _, s := range seen {
		if s.State != wire.StateTraining {
			last = Seen{}
			continue
		}
		if last.At.IsZero() || s.Step < last.Step || s.Generation != last.Generation {
			last = s
			continue
		}
		if s.Step > last.Step {
			out = append(out, s.At.Sub(last.At)/time.Duration(s.Step-last.Step))
			last = s
		}
	}
	return out
}

func (s Seen) String() string {
	return fmt.Sprintf("step %d, generation %d, %s, %s", s.Step, s.Generation, words.Several(len(s.Members), "worker"), s.State)
}
