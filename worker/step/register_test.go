package step

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestRegistering has an ID that is taken after a time in which the store was away.
func TestRegistering(t *testing.T) {
	r, now := NewRegistering(5*time.Second, time.Second), time.Unix(100, 0)
	taken := fmt.Errorf("register: %w", membership.ErrTaken)
	for _, c := range []struct {
		at   time.Duration
		err  error
		want AfterFailure
	}{
		{0, context.DeadlineExceeded, TryAgain},
		{time.Minute, taken, ListenForHeartbeat},
		{time.Minute + 5*time.Second, taken, ListenForHeartbeat},
		{time.Minute + 6*time.Second, taken, ListenForHeartbeat},
		{time.Minute + 7*time.Second, context.DeadlineExceeded, TryAgain},
		{time.Minute + 7*time.Second, taken, GiveUp},
	} {
		if got := r.Failed(now.Add(c.at), c.err); got != c.want {
			t.Errorf("after %s, %v: %d, not %d", c.at, c.err, got, c.want)
		}
	}
	if Settled(context.DeadlineExceeded) || !Settled(taken) || !Settled(nil) {
		t.Error("what the store answered is tried again, or a lost answer is not")
	}
}

// TestDeparture asks members and others to leave.
func TestDeparture(t *testing.T) {
	for _, c := range []struct {
		rank int
		i    wire.Intent
		want Departure
	}{
		{-1, wire.Intent{}, Stay},
		{-1, wire.Intent{Drain: []string{"other"}}, Stay},
		{-1, wire.Intent{Drain: []string{"w"}}, LeaveNow},
		{-1, wire.Intent{Drain: []string{"w"}, Stop: true}, LeaveNow},
		{2, wire.Intent{Drain: []string{"w"}}, AnnounceDrain},
		{2, wire.Intent{Drain: []string{"w"}, Stop: true}, Stay},
	} {
		m := &Machine{cfg: Config{Incarnation: "w"}, rank: c.rank}
		if got := m.Departure(c.i); got != c.want {
			t.Errorf("rank %d, %+v: %d, not %d", c.rank, c.i, got, c.want)
		}
	}
	if got := (&Machine{rank: 1}).Drained(); got != AnnounceDrain {
		t.Errorf("a member that gets a signal: %d", got)
	}
}
