package step

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// secondOfTwo returns the machine of the second member of a generation of two, at a step.
func secondOfTwo(now time.Time, applied uint64) *Machine {
	m := New(Config{ID: "b", Incarnation: "1", Steps: 90, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, applied)
	m.Handle(now, PlanChanged{Plan: planSince(1, now, 1, 1)})
	m.Handle(now, Digested{Step: applied, Digest: "x"})
	return m
}

// planSince returns a plan of a session, decided at a time.
func planSince(generation uint64, since time.Time, shares ...int) wire.Plan {
	p := planOf(shares...)
	p.Generation, p.Session, p.Since = generation, "s", since
	return p
}

func TestLineage(t *testing.T) {
	now := time.Unix(1000, 0)
	later := now.Add(time.Minute)
	other := wire.Lineage{Session: "r", Generation: 7, From: 2, Since: now.Add(-time.Hour)}
	first := wire.Lineage{Session: "s", Generation: 1, From: 3, Since: now}
	hello := wire.Hello{Generation: 1, ID: "a", Incarnation: "1", Applied: 3, Digest: "x", Next: 4, Answer: true}

	m := secondOfTwo(now, 3)
	if m.Handle(now, HelloReceived{Hello: hello}); m.Lineage() != first {
		t.Errorf("two untrained members: %+v", m.Lineage())
	}
	// The lineage goes on with a member that comes from a checkpoint.
	m.Handle(later, PlanChanged{Plan: planSince(2, later, 1, 1)})
	m.Handle(later, Digested{Step: 3, Digest: "x"})
	hello.Generation = 2
	if m.Handle(later, HelloReceived{Hello: hello}); m.Lineage() != first {
		t.Errorf("one trained member: %+v", m.Lineage())
	}
	// The worker is left out, and a new lineage begins with it alone.
	m.Handle(later, PlanChanged{Plan: planSince(3, later, 1)})
	if m.Lineage().Generation != 0 {
		t.Errorf("outside: %+v", m.Lineage())
	}
	alone := planSince(4, later, 1)
	alone.Members[0].ID = "b"
	m.Handle(later, PlanChanged{Plan: alone})
	m.Handle(later, Digested{Step: 3, Digest: "x"})
	if m.Lineage() != (wire.Lineage{Session: "s", Generation: 4, From: 3, Since: later}) {
		t.Errorf("alone: %+v", m.Lineage())
	}

	m = secondOfTwo(now, 3)
	hello.Generation, hello.Lineage = 1, other
	if m.Handle(now, HelloReceived{Hello: hello}); m.Lineage() != other {
		t.Errorf("the other member is trained: %+v", m.Lineage())
	}
	m = secondOfTwo(now, 3)
	hello.Applied, hello.Digest, hello.Next = 2, "w", 3
	if m.Handle(now, HelloReceived{Hello: hello}); m.Lineage() != first {
		t.Errorf("the trained member is behind a checkpoint: %+v", m.Lineage())
	}
}

// TestCheckpointNewerThanMembers has rank 0 fetch the checkpoint; both members go on from
// it in the next generation.
func TestCheckpointNewerThanMembers(t *testing.T) {
	now := time.Unix(1000, 0)
	greet := func(id string) wire.Hello {
		return wire.Hello{Generation: 1, ID: id, Incarnation: "1", Rank: int(id[0] - 'a'), Applied: 3, Digest: "x", Next: 4, Stored: 7, Answer: true}
	}
	b := secondOfTwo(now, 3)
	if got := b.Handle(now, HelloReceived{Hello: greet("a")}); len(got) > 0 || b.State() != wire.WorkerCatchingUp {
		t.Errorf("the second does %+v, %s", got, b.State())
	}

	a := New(Config{ID: "a", Incarnation: "1", Steps: 90, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
	p := planSince(1, now, 1, 1)
	p.Stored = 7 // as the coordinator knows, and no member does
	a.Handle(now, PlanChanged{Plan: p})
	a.Handle(now, Digested{Step: 3, Digest: "x"})
	h := greet("b")
	h.Stored = 0
	if got, ok := last(a.Handle(now, HelloReceived{Hello: h})).(FetchSnapshot); !ok || got.Step != 7 || got.Digest != "" || got.From[0] != wire.IDCheckpoint {
		t.Fatalf("the first does %+v", got)
	}
	if got, ok := last(a.Handle(now, FetchFailed{Generation: 1, Reason: "away"})).(FetchSnapshot); !ok || got.Step != 7 {
		t.Fatalf("the service is away: %+v", got)
	}
	a.Handle(now, SnapshotFetched{Generation: 1, Step: 9}) // there is a newer one by now
	if got, ok := last(a.Handle(now, Loaded{Step: 9, Digest: "z"})).(Suspect); !ok || got.Suspicion.Subject != "" {
		t.Fatalf("with the checkpoint: %+v", got)
	}
	for _, e := range []Event{PlanChanged{Plan: planSince(2, now, 1, 1)}, HelloReceived{Hello: wire.Hello{Generation: 2, ID: "b", Incarnation: "1", Rank: 1, Applied: 3, Digest: "x", Next: 4, Stored: 9, Answer: true}}} {
		if got, ok := last(a.Handle(now, e)).(Compute); ok && got.Step != 10 {
			t.Errorf("then %+v", got)
		}
	}
	if want := (wire.Lineage{Session: "s", Generation: 2, From: 9, Since: now}); a.State() != wire.WorkerComputing || a.Lineage() != want {
		t.Errorf("then %s, %+v", a.State(), a.Lineage())
	}
}

func TestCheckpointOfLastStep(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{ID: "a", Incarnation: "1", Steps: 7, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
	p := planSince(1, now, 1)
	p.Stored = 7
	m.Handle(now, PlanChanged{Plan: p})
	if got, ok := last(m.Handle(now, Digested{Step: 3, Digest: "x"})).(FetchSnapshot); !ok || got.Step != 7 {
		t.Fatalf("it does %+v", got)
	}
	m.Handle(now, SnapshotFetched{Generation: 1, Step: 7})
	if got, ok := last(m.Handle(now, Loaded{Step: 7, Digest: "z"})).(Finish); !ok || got.Step != 7 {
		t.Errorf("with the checkpoint %+v", got)
	}
}
