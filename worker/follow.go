package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

// maxDonors is how many members pin a state for a worker that joins: each makes a copy.
const maxDonors = 4

// fetchPinned fetches a state that members pin while they train on.
func (w *worker) fetchPinned(ctx context.Context, f step.FetchPinned) step.Event {
	fetch := func() (*fetchedState, error) {
		info, donors, err := w.askToPin(ctx, f.From)
		if err != nil {
			return nil, err
		}
		if info.Step <= f.Newer {
			return nil, fmt.Errorf("%v are at step %d, this worker is at %d", donors, info.Step, f.Newer)
		}
		return w.fetchSnapshot(ctx, donors, info)
	}
	got, err := fetch()
	if err != nil {
		w.log.Info("no member pins a state for this worker", zap.Error(err))
		return step.FetchFailed{Generation: f.Generation, Reason: err.Error()}
	}
	w.fetched.Store(got)
	return step.SnapshotFetched{Generation: f.Generation, Step: got.state.Step}
}

// askToPin asks members to pin a state: the first that answers names the step, and members
// that have the same state, or soon will, are donors too.
func (w *worker) askToPin(ctx context.Context, members []string) (wire.SnapshotInfo, []string, error) {
	var failures error
	for i, first := range members {
		info, err := w.pinAt(ctx, first, 0)
		if err == nil && !info.Found {
			err = fmt.Errorf("%s waits to pin step %d for another worker", first, info.Step)
		}
		if err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		donors := []string{first}
		for _, id := range members[i+1:] {
			if len(donors) < maxDonors && w.pinsToo(ctx, id, info) {
				donors = append(donors, id)
			}
		}
		return info, donors, nil
	}
	return wire.SnapshotInfo{}, nil, failures
}

// pinsToo asks a member to pin the same state as another.
func (w *worker) pinsToo(ctx context.Context, id string, want wire.SnapshotInfo) bool {
	for end := time.Now().Add(w.cfg.Spec.FailureTimeout / 4); ; waiting.Pause(ctx, w.cfg.Spec.FailureTimeout/100) {
		info, err := w.pinAt(ctx, id, want.Step)
		switch {
		case err != nil || info.Step != want.Step:
			return false
		case info.Found:
			return info.Digest == want.Digest
		case time.Now().After(end):
			return false // its step takes too long: the other donors suffice
		}
	}
}

// pinAt asks a member to pin its state after a step.
func (w *worker) pinAt(ctx context.Context, id string, number uint64) (wire.SnapshotInfo, error) {
	within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
	defer cancel()
	info, err := bus.Request[wire.SnapshotInfo](within, w.cfg.Bus, w.subjects.Pin(id), wire.Pin{Step: number, For: w.reg.ID})
	if err != nil {
		return info, fmt.Errorf("ask %s to keep its state: %w", id, err)
	}
	return info, nil
}
