package step

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// alone begins a generation of one member at a step and returns the machine, which
// computes.
func alone(t *testing.T, now time.Time, applied uint64, diverged bool) *Machine {
	t.Helper()
	m := New(Config{ID: "a", Incarnation: "1", Steps: 90, FailureTimeout: time.Second, SaveEvery: time.Minute, Diverged: diverged}, now, applied)
	m.Handle(now, PlanChanged{planSince(1, now, 1)})
	if got, ok := last(m.Handle(now, Digested{applied, "x"})).(Compute); !ok {
		t.Fatalf("it does %+v", got)
	}
	return m
}

// votes returns whether the machine asks for a stop in the step that it computes.
func votes(t *testing.T, now time.Time, m *Machine, number uint64) bool {
	t.Helper()
	r, ok := last(m.Handle(now, Computed{Step: number})).(Reduce)
	if !ok || r.Step != number {
		t.Fatalf("it does %+v", r)
	}
	return r.Votes.Stop
}

// A member whose state shows a divergence votes for a stop in the next step, and so does
// every worker that loads that state: all stop at the same step, whichever is rank 0.
func TestDivergedStateVotesForStop(t *testing.T) {
	now := time.Unix(1000, 0)
	m := alone(t, now, 3, false)
	if votes(t, now, m, 4) {
		t.Error("a healthy state votes for a stop")
	}
	m.Handle(now, Reduced{Generation: 1, Step: 4})
	if got, ok := last(m.Handle(now, Applied{Step: 4, Diverged: true})).(Compute); !ok {
		t.Fatalf("it does %+v", got)
	}
	m.Handle(now, StopRequested{Withdrawn: true}) // takes back what a user asked for, and not this
	if !votes(t, now, m, 5) {
		t.Error("a diverged state does not vote for a stop")
	}
	m.Handle(now, Reduced{Generation: 1, Step: 5})
	if got, ok := m.Handle(now, Applied{Step: 5, Stop: true, Diverged: true})[1].(Save); !ok || !got.Final || m.State() != wire.WorkerStopped {
		t.Errorf("%s, it does %+v", m.State(), got)
	}

	if m := alone(t, now, 3, true); !votes(t, now, m, 4) {
		t.Error("a worker that begins with a diverged state does not vote for a stop")
	}
}

func TestALoadedStateVotesForAStop(t *testing.T) {
	now := time.Unix(1000, 0)
	m := secondOfTwo(now, 3)
	m.Handle(now, SnapshotFetched{1, 7})
	if m.Handle(now, Loaded{Step: 7, Digest: "z", Diverged: true}); !m.votes().Stop {
		t.Error("a state that diverged, taken from others, does not vote for a stop")
	}
	if m.Handle(now, Loaded{Step: 9, Digest: "z"}); m.votes().Stop {
		t.Error("a healthy state in its place votes for a stop")
	}
}
