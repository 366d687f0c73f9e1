package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// away is the registration of an incarnation in a store that is out of reach at first.
type away struct {
	membership.Lease
	incarnation string
	left        int // tries that fail
	stored      []wire.Registration
}

func (a *away) Update(_ context.Context, r wire.Registration) error {
	if a.left--; a.left >= 0 {
		return errors.New("the store is away")
	}
	if r.Incarnation != a.incarnation {
		return errors.New("the registration is that of another")
	}
	a.stored = append(a.stored, r)
	return nil
}

// TestAnnouncementsOfAnOlderIncarnationEnd has a worker that announces something, joins
// again before it is stored, and announces something else.
func TestAnnouncementsOfAnOlderIncarnationEnd(t *testing.T) {
	synctest.Test(t, announcementsOfAnOlderIncarnationEnd)
}

func announcementsOfAnOlderIncarnationEnd(t *testing.T) {
	old, now := &away{incarnation: "1", left: 3}, &away{incarnation: "2"}
	w := &worker{log: zap.NewNop(), cfg: Config{Spec: runspec.Spec{FailureTimeout: 20 * time.Millisecond}}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w.group, ctx = errgroup.WithContext(ctx)
	w.reg, w.lease = wire.Registration{ID: "w", Incarnation: "1", Ring: wire.RingBroker}, old
	w.announce(ctx, "first", func() {})
	w.reg.Incarnation, w.reg.Draining, w.lease = "2", true, now
	w.announce(ctx, "second", func() {})
	if err := w.group.Wait(); err != nil || ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		t.Fatal("the second waits for the first")
	}
	if len(old.stored) > 0 || len(now.stored) != 1 || !now.stored[0].Draining {
		t.Errorf("stored are %v and %v", old.stored, now.stored)
	}
}
