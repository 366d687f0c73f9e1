package step

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestWhoDoesNotKeepUpTriesAgain has a newcomer that members outrun. It says so, rests,
// and tries again; what it needs less time for in the end, it says as well.
func TestWhoDoesNotKeepUpTriesAgain(t *testing.T) {
	start := time.Unix(1000, 0)
	m := New(Config{ID: "b", Incarnation: "1", Steps: 99, FailureTimeout: time.Second, SaveEvery: time.Minute}, start, 0)
	m.Handle(start, PlanChanged{planOf(1)})
	outrun := func(now time.Time) {
		t.Helper()
		if _, ok := last(m.Handle(now, FetchFailed{1, "entry of step 1 is not held"})).(FetchPinned); !ok {
			t.Fatal("it does not ask for a state")
		}
		next := m.applied + 5
		m.Handle(now, SnapshotFetched{1, next})
		if f, ok := last(m.Handle(now, Loaded{Step: next, Digest: "x"})).(FetchEntry); !ok || f.Step != next+1 {
			t.Fatalf("with the state of step %d it does not go on", next)
		}
		m.Handle(now, FetchFailed{1, "that entry is not held"})
		if m.State() != wire.WorkerJoining || !m.Behind() {
			t.Fatalf("outrun: %s, behind %v", m.State(), m.Behind())
		}
	}
	outrun(start)
	now := start
	for i, rest := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		begun := now
		for m.State() == wire.WorkerJoining && now.Sub(begun) < 10*time.Minute {
			now = now.Add(200 * time.Millisecond)
			m.Handle(now, Tick{})
		}
		if took := now.Sub(begun); took < rest || took > rest+time.Second {
			t.Fatalf("try %d: after %v, not %v", i+2, took, rest)
		}
		if i < 2 {
			outrun(now)
		}
	}
	m.Handle(now, UpToDate{1, m.applied + 1})
	if m.State() != wire.WorkerJoining || m.Behind() {
		t.Errorf("up to date: %s, behind %v", m.State(), m.Behind())
	}
}
