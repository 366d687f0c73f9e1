package roster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// reigns is a run whose leaders follow each other, each told of what is stored.
type reigns struct {
	t      *testing.T
	now    time.Time
	r      *Roster
	stored wire.Plan
	noted  []wire.Event
	up     []wire.Registration
}

func (s *reigns) feed(e Event) {
	s.now = s.now.Add(50 * time.Millisecond)
	for _, f := range s.r.Handle(s.now, e) {
		switch f := f.(type) {
		case Record:
			s.noted = append(s.noted, f.Event)
		case WritePlan:
			s.stored = f.Plan
		}
	}
}

// elect begins with what is stored, in a process that knows nothing else.
func (s *reigns) elect(nonce string) {
	s.r = New(Config{Workers: runspec.Workers{Min: 1, Max: 3}, MicroBatches: 6, Steps: 1000, FailureTimeout: time.Second})
	s.noted = nil
	s.feed(Elected{Plan: s.stored, Nonce: nonce})
	s.feed(Registered{s.up})
}

// start makes the next plan a new session's: all workers end, and others come.
func (s *reigns) start(incarnation string, step uint64) {
	s.up = nil
	for _, id := range []string{"a", "b", "c"} {
		s.up = append(s.up, wire.Registration{ID: id, Incarnation: id + incarnation, Fingerprint: "f", Step: step})
	}
	for g := s.stored.Generation; s.stored.Generation == g; {
		s.feed(Registered{s.up})
		for _, w := range s.up {
			s.feed(Beat{wire.Beat{ID: w.ID, Incarnation: w.Incarnation, State: wire.WorkerJoining, Step: step}})
		}
	}
}

func keys(all []wire.Event) (keys []string) {
	for _, e := range all {
		keys = append(keys, e.Key)
	}
	return keys
}

// TestThePlanKeepsUnacknowledgedEvents has a leader that dies after it decided on
// two sessions, before the ledger was told of either, and before it learned that the
// second plan is stored.
func TestThePlanKeepsUnacknowledgedEvents(t *testing.T) {
	s := &reigns{t: t, now: time.Unix(1000, 0)}
	s.elect("x")
	s.start("1", 0)
	s.feed(PlanWritten{})
	first := s.noted
	s.start("2", 40)

	s.elect("y")
	if len(first) != 1 || len(s.noted) != 2 || s.noted[0].Key != first[0].Key {
		t.Fatalf("noted %+v, by the leader before %+v", s.noted, first)
	}
	if e := s.noted[1]; e.Generation != 2 || e.Key == first[0].Key || !slices.Equal(e.Members, []string{"a", "b", "c"}) {
		t.Errorf("of the second session %+v", e)
	}

	// What is acknowledged is not carried on.
	s.feed(Acknowledged{Keys: []string{first[0].Key}})
	s.start("3", 50)
	if got := keys(s.stored.Events); len(got) != 2 || slices.Contains(got, first[0].Key) {
		t.Errorf("the third plan carries %q", got)
	}
	s.feed(PlanWritten{})
	s.feed(Acknowledged{Keys: keys(s.stored.Events)})
	s.start("4", 60)
	if got := s.stored.Events; len(got) != 1 || got[0].Generation != 4 {
		t.Errorf("the fourth plan carries %+v", got)
	}
}

// TestWhereTrainingBeganIsNotedOnce has members say so with each heartbeat, and
// others that do not count.
func TestWhereTrainingBeganIsNotedOnce(t *testing.T) {
	s := &reigns{t: t, now: time.Unix(1000, 0)}
	s.elect("x")
	s.start("1", 40)
	if !s.stored.Since.Equal(s.now) {
		t.Errorf("decided on at %s, which was at %s", s.stored.Since, s.now)
	}
	s.feed(PlanWritten{})
	s.noted = nil
	begun := wire.Lineage{Session: s.stored.Session, Generation: 1, From: 40, Since: s.stored.Since}
	other := wire.Lineage{Session: "other", Generation: 1, From: 7, Since: s.stored.Since}
	beat := wire.Beat{ID: "a", Incarnation: "a1", State: wire.WorkerGreeting, Generation: 1, Step: 40}
	say := func(incarnation string, generation uint64, b wire.Lineage) {
		beat.ID, beat.Incarnation, beat.Generation, beat.Lineage = incarnation[:1], incarnation, generation, b
		s.feed(Beat{beat})
	}
	say("a1", 1, wire.Lineage{}) // they have yet to agree
	say("b9", 1, other)          // no member
	say("b1", 0, other)          // it has yet to see the plan
	if len(s.noted) != 0 {
		t.Fatalf("noted %+v", s.noted)
	}
	for range 3 {
		say("a1", 1, begun)
		say("b1", 1, begun)
	}
	if len(s.noted) != 1 || s.noted[0].Kind != wire.EventBegun || *s.noted[0].Lineage != begun {
		t.Fatalf("noted %+v", s.noted)
	}
	key := s.noted[0].Key
	s.start("2", 50) // nobody has acknowledged it
	if got := keys(s.stored.Events); !slices.Contains(got, key) {
		t.Errorf("the next plan carries %q", got)
	}
	s.elect("y")
	s.feed(PlanWritten{})
	s.noted = nil
	say("a2", 2, wire.Lineage{Session: s.stored.Session, Generation: 2, From: 50, Since: s.stored.Since})
	if len(s.noted) != 1 || s.noted[0].Key == key {
		t.Errorf("of the second beginning %+v", s.noted)
	}
}

// TestAPlanStaysSmall never tells the ledger of anything.
func TestAPlanStaysSmall(t *testing.T) {
	s := &reigns{t: t, now: time.Unix(1000, 0)}
	s.elect("x")
	for g := uint64(1); g < 3*maxUnacknowledged; g++ {
		s.start(fmt.Sprint(g), g)
		s.feed(PlanWritten{})
	}
	if n := len(s.stored.Events); n != maxUnacknowledged || s.stored.Events[n-1].Generation != s.stored.Generation {
		t.Errorf("a plan carries %d events", n)
	}
}
