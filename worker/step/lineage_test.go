package step

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// two is the machine of the second member of a generation of two, at a step.
func two(now time.Time, applied uint64) *Machine {
	m := New(Config{ID: "b", Incarnation: "1", Steps: 90, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, applied)
	m.Handle(now, PlanChanged{began(1, now, 1, 1)})
	m.Handle(now, Digested{applied, "x"})
	return m
}

// began is a plan of a session, decided on at a time.
func began(generation uint64, since time.Time, shares ...int) wire.Plan {
	p := planOf(shares...)
	p.Generation, p.Session, p.Since = generation, "s", since
	return p
}

func TestTrainingBeginsWhereNobodyHasTrained(t *testing.T) {
	now := time.Unix(1000, 0)
	later := now.Add(time.Minute)
	other := wire.Lineage{Session: "r", Generation: 7, From: 2, Since: now.Add(-time.Hour)}
	first := wire.Lineage{Session: "s", Generation: 1, From: 3, Since: now}
	hello := wire.Hello{Generation: 1, ID: "a", Incarnation: "1", Applied: 3, Digest: "x", Next: 4, Answer: true}

	m := two(now, 3)
	if m.Handle(now, HelloReceived{hello}); m.Lineage() != first {
		t.Errorf("two that have not: %+v", m.Lineage())
	}
	// It goes on, with one that comes from a checkpoint.
	m.Handle(later, PlanChanged{began(2, later, 1, 1)})
	m.Handle(later, Digested{3, "x"})
	hello.Generation = 2
	if m.Handle(later, HelloReceived{hello}); m.Lineage() != first {
		t.Errorf("one has, the other not: %+v", m.Lineage())
	}
	// It is let go, and begins alone.
	m.Handle(later, PlanChanged{began(3, later, 1)})
	if m.Lineage().Generation != 0 {
		t.Errorf("outside: %+v", m.Lineage())
	}
	alone := began(4, later, 1)
	alone.Members[0].ID = "b"
	m.Handle(later, PlanChanged{alone})
	m.Handle(later, Digested{3, "x"})
	if m.Lineage() != (wire.Lineage{Session: "s", Generation: 4, From: 3, Since: later}) {
		t.Errorf("alone: %+v", m.Lineage())
	}

	m = two(now, 3)
	hello.Generation, hello.Lineage = 1, other
	if m.Handle(now, HelloReceived{hello}); m.Lineage() != other {
		t.Errorf("the other has trained: %+v", m.Lineage())
	}
	m = two(now, 3)
	hello.Applied, hello.Digest, hello.Next = 2, "w", 3
	if m.Handle(now, HelloReceived{hello}); m.Lineage() != first {
		t.Errorf("the other has trained, and is behind a checkpoint: %+v", m.Lineage())
	}
}

// TestACheckpointThatIsNewerThanAnyMember has the first of two take it, and both go
// on from it in the next generation.
func TestACheckpointThatIsNewerThanAnyMember(t *testing.T) {
	now := time.Unix(1000, 0)
	greet := func(id string) wire.Hello {
		return wire.Hello{Generation: 1, ID: id, Incarnation: "1", Rank: int(id[0] - 'a'), Applied: 3, Digest: "x", Next: 4, Stored: 7, Answer: true}
	}
	b := two(now, 3)
	if got := b.Handle(now, HelloReceived{greet("a")}); len(got) > 0 || b.State() != wire.WorkerCatchingUp {
		t.Errorf("the second does %+v, %s", got, b.State())
	}

	a := New(Config{ID: "a", Incarnation: "1", Steps: 90, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
	p := began(1, now, 1, 1)
	p.Stored = 7 // as the coordinator knows, and no member does
	a.Handle(now, PlanChanged{p})
	a.Handle(now, Digested{3, "x"})
	h := greet("b")
	h.Stored = 0
	if got, ok := last(a.Handle(now, HelloReceived{h})).(FetchSnapshot); !ok || got.Step != 7 || got.Digest != "" || got.From[0] != wire.IDCheckpoint {
		t.Fatalf("the first does %+v", got)
	}
	if got, ok := last(a.Handle(now, FetchFailed{1, "away"})).(FetchSnapshot); !ok || got.Step != 7 {
		t.Fatalf("the service is away: %+v", got)
	}
	a.Handle(now, SnapshotFetched{1, 9}) // there is a newer one by now
	if got, ok := last(a.Handle(now, Loaded{Step: 9, Digest: "z"})).(Suspect); !ok || got.Suspicion.Subject != "" {
		t.Fatalf("with the checkpoint: %+v", got)
	}
	for _, e := range []Event{PlanChanged{began(2, now, 1, 1)}, HelloReceived{wire.Hello{Generation: 2, ID: "b", Incarnation: "1", Rank: 1, Applied: 3, Digest: "x", Next: 4, Stored: 9, Answer: true}}} {
		if got, ok := last(a.Handle(now, e)).(Compute); ok && got.Step != 10 {
			t.Errorf("then %+v", got)
		}
	}
	if want := (wire.Lineage{Session: "s", Generation: 2, From: 9, Since: now}); a.State() != wire.WorkerComputing || a.Lineage() != want {
		t.Errorf("then %s, %+v", a.State(), a.Lineage())
	}
}

func TestACheckpointOfTheLastStepEndsTheRun(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{ID: "a", Incarnation: "1", Steps: 7, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
	p := began(1, now, 1)
	p.Stored = 7
	m.Handle(now, PlanChanged{p})
	if got, ok := last(m.Handle(now, Digested{3, "x"})).(FetchSnapshot); !ok || got.Step != 7 {
		t.Fatalf("it does %+v", got)
	}
	m.Handle(now, SnapshotFetched{1, 7})
	if got, ok := last(m.Handle(now, Loaded{Step: 7, Digest: "z"})).(Finish); !ok || got.Step != 7 {
		t.Errorf("with the checkpoint %+v", got)
	}
}
