package orders

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

func plan(generation uint64, reason string) wire.Plan {
	return wire.Plan{Generation: generation, Reason: reason}
}

// with returns a queue whose first order is under way.
func with(t *testing.T, effects ...roster.Effect) *Queue[int] {
	t.Helper()
	q := &Queue[int]{}
	for i, f := range effects {
		q.Request(i)
		q.Add(f)
	}
	if _, ok := q.Next(); !ok {
		t.Fatal("nothing to do")
	}
	return q
}

func TestOneOrderAtATime(t *testing.T) {
	q := with(t, roster.WriteIntent{}, roster.Evict{ID: "a"}, roster.Reply{Token: 2})
	if o, ok := q.Next(); ok {
		t.Errorf("%+v while the first is under way", o)
	}
	if out := q.Tried(nil, wire.Plan{}); out != (Outcome{}) {
		t.Errorf("an intent is stored: %+v", out)
	}
	if o, _ := q.Next(); o.Effect != (roster.Evict{ID: "a"}) {
		t.Errorf("second: %+v", o)
	}
	q.Tried(nil, wire.Plan{})
	if o, _ := q.Next(); o.Request != 2 {
		t.Errorf("third: %+v", o)
	}
}

func TestResultsOfWritingAPlan(t *testing.T) {
	own, other := plan(2, "own"), plan(2, "other")
	conflict := errors.Join(errors.New("write plan"), membership.ErrConflict)
	for _, c := range []struct {
		name   string
		err    error
		stored wire.Plan
		want   string
	}{
		{"stored", nil, wire.Plan{}, "written"},
		{"the answer was lost", conflict, own, "written"},
		{"another was first", conflict, other, "rejected"},
		{"no answer", errors.New("timeout"), wire.Plan{}, "again"},
		{"another leads", membership.ErrNotLeader, wire.Plan{}, "lost"},
	} {
		out, got := with(t, roster.WritePlan{Plan: own}).Tried(c.err, c.stored), ""
		switch e := out.Event.(type) {
		case roster.PlanWritten:
			got = "written"
		case roster.PlanRejected:
			if e.Stored.Reason == "other" {
				got = "rejected"
			}
		}
		if out.Retry > 0 {
			got += "again"
		}
		if out.Lost {
			got += "lost"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAnOrderIsRetriedUntilItIsStored(t *testing.T) {
	q := with(t, roster.WriteIntent{}, roster.WriteIntent{})
	var pauses []time.Duration
	for range 7 {
		pauses = append(pauses, q.Tried(errors.New("no answer"), wire.Plan{}).Retry)
	}
	ms := time.Millisecond
	if want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	if _, ok := q.Next(); ok {
		t.Error("the next order begins before the first is known")
	}
	q.Tried(nil, wire.Plan{})
	q.Next()
	if p := q.Tried(errors.New("no answer"), wire.Plan{}).Retry; p != 50*ms {
		t.Errorf("the second order waits %v at first", p)
	}
}

func TestNothingIsStoredAfterTheTerm(t *testing.T) {
	q := with(t, roster.WritePlan{Plan: plan(2, "")}, roster.Reply{Token: 1}, roster.Evict{}, roster.Reply{Token: 3})
	if !q.Tried(membership.ErrNotLeader, wire.Plan{}).Lost {
		t.Fatal("the term goes on")
	}
	if o, ok := q.Next(); ok {
		t.Errorf("%+v after another leads", o)
	}
	if left := q.End(); !slices.Equal(left, []int{1, 3}) {
		t.Errorf("requests %v are not answered, want 1 and 3", left)
	}
	q.Add(roster.Evict{})
	if o, ok := q.Next(); ok {
		t.Errorf("%+v after the end", o)
	}
	if out := q.Tried(nil, wire.Plan{}); out != (Outcome{}) {
		t.Errorf("%+v of a late answer", out)
	}
}
