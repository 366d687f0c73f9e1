package step

import (
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestAStateReplacesAMissingEntry has a member one step ahead that took the state
// itself, from a checkpoint or a peer, and holds no entry.
func TestAStateReplacesAMissingEntry(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{ID: "b", Incarnation: "1", Steps: 9, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
	m.Handle(now, PlanChanged{planOf(1, 1)})
	m.Handle(now, Digested{3, "w"})
	hello := wire.Hello{Generation: 1, ID: "a", Incarnation: "1", Rank: 0, Applied: 4, Digest: "x", Next: 5, Answer: true}
	if got, ok := last(m.Handle(now, HelloReceived{hello})).(FetchEntry); !ok || !slices.Equal(got.From, []string{"a"}) || got.Step != 4 || got.Await {
		t.Fatalf("one step behind: %+v", got)
	}
	if got, ok := last(m.Handle(now, FetchFailed{1, "not held"})).(FetchSnapshot); !ok || got.Step != 4 || got.Digest != "x" {
		t.Fatalf("after the entry could not be had: %+v", got)
	}
	m.Handle(now, SnapshotFetched{1, 4})
	if got, ok := last(m.Handle(now, Loaded{Step: 4, Digest: "x"})).(Compute); !ok || got.Step != 5 {
		t.Fatalf("with the state of the others: %+v", got)
	}
}

// TestAStopEndsWithTheStateThatItWasOf has a member that stopped, beside one that
// comes back with a newer state, in which nobody did.
func TestAStopEndsWithTheStateThatItWasOf(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{ID: "b", Incarnation: "1", Steps: 9, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 0)
	alone := planOf(1)
	alone.Members[0].ID = "b"
	m.Handle(now, PlanChanged{alone})
	m.Handle(now, Digested{0, "v"})
	m.Handle(now, Computed{1, 0})
	m.Handle(now, Reduced{Generation: 1, Step: 1})
	if m.Handle(now, Applied{Step: 1, Stop: true}); m.State() != wire.WorkerStopped {
		t.Fatalf("after the stop: %s", m.State())
	}
	p := planOf(1, 1)
	p.Generation = 2
	m.Handle(now, PlanChanged{p})
	m.Handle(now, Digested{1, "w"})
	m.Handle(now, HelloReceived{wire.Hello{Generation: 2, ID: "a", Incarnation: "1", Rank: 0, Applied: 6, Digest: "x", Next: 7, Answer: true}})
	m.Handle(now, SnapshotFetched{2, 6})
	if got, ok := last(m.Handle(now, Loaded{Step: 6, Digest: "x"})).(Compute); !ok || got.Step != 7 {
		t.Fatalf("with the state of the other: %+v", got)
	}
}

// TestAStopOfMembersThatAreLost has members that followed a step with which the run was to
// end. Those that summed it are lost: one that fetches its entry goes on with the others.
func TestAStopOfMembersThatAreLost(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, stopped := range []bool{false, true} {
		m := New(Config{ID: "b", Incarnation: "1", Steps: 9, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 3)
		m.Handle(now, PlanChanged{planOf(1, 1)})
		m.Handle(now, Digested{3, "w"})
		m.Handle(now, HelloReceived{wire.Hello{Generation: 1, ID: "a", Incarnation: "1", Rank: 0, Applied: 4, Digest: "x", Next: 5, Stopped: stopped, Answer: true}})
		m.Handle(now, EntryFetched{1, 4})
		m.Handle(now, Applied{Step: 4, Stop: true})
		m.Handle(now, Digested{4, "x"})
		if (m.State() == wire.WorkerStopped) != stopped {
			t.Errorf("the others have stopped: %v, this one is %s", stopped, m.State())
		}
	}
}

// TestARefusedWorkerStopsFollowing has a newcomer that takes the members' entries, until
// it is told that it is not admitted.
func TestARefusedWorkerStopsFollowing(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{ID: "b", Incarnation: "1", Steps: 9, FailureTimeout: time.Second, SaveEvery: time.Minute}, now, 0)
	if got, ok := last(m.Handle(now, PlanChanged{planOf(1)})).(FetchEntry); !ok || got.Step != 1 || !got.Await {
		t.Fatalf("a newcomer asks for %+v", got)
	}
	m.Handle(now, EntryFetched{1, 1})
	m.Handle(now, Refused{})
	if got, ok := last(m.Handle(now, Applied{Step: 1})).(FetchEntry); ok || m.State() != wire.WorkerJoining {
		t.Errorf("refused: %s, and %+v", m.State(), got)
	}
	p := planOf(1)
	p.Generation = 2
	if got, ok := last(m.Handle(now, PlanChanged{p})).(FetchEntry); ok || m.State() != wire.WorkerJoining {
		t.Errorf("refused, in another generation: %s, and %+v", m.State(), got)
	}
	m.SetIncarnation("2")
	p.Generation = 3
	if got, ok := last(m.Handle(now, PlanChanged{p})).(FetchEntry); !ok || got.Step != 2 {
		t.Errorf("with another incarnation: %s, and %+v", m.State(), got)
	}
}

func last(all []Effect) Effect {
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}
