package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// lookEvery is the pause between two looks at what was seen.
const lookEvery = 2 * time.Millisecond

// errEnded says that the run has ended, in order.
var errEnded = errors.New("gramme up has ended")

// endWithin bounds what `gramme up` does after the last step, in patiences: it
// measures the validation split.
const endWithin = 10

// drive does one fault after the other and waits for the end of the run. Its
// error is what must not happen.
func (t *trial) drive(ctx context.Context, faults []Fault) error {
	hanging, stop := context.WithCancel(ctx)
	defer func() { stop(); t.held.Wait() }()
	done := 0
	for i, f := range faults {
		// Where the run is faster than was thought, faults come closer together.
		latest := t.spec.Steps * uint64(i+1) / uint64(len(faults)+2)
		s, err := t.ready(ctx, f, latest)
		if errors.Is(err, errEnded) {
			break
		}
		if err != nil {
			return fmt.Errorf("before fault %d (%s): %w", f.N, f.Kind, err)
		}
		if s.State == wire.StateDone || s.Step+s.Step/50 >= t.spec.Steps {
			break
		}
		r, err := t.one(hanging, f, s)
		if errors.Is(err, errEnded) {
			break
		}
		if err != nil {
			return fmt.Errorf("fault %d (%s of %s at step %d): %w", f.N, r.Kind, r.Target, s.Step, err)
		}
		done++
		t.report.Faults = append(t.report.Faults, r)
		t.Saw(r)
	}
	if done < len(faults) {
		t.fail("all faults are done", fmt.Errorf("%d of %d: the run had too few steps for more; give it more steps, or shorter gaps", done, len(faults)))
	}
	return t.end(ctx)
}

// ready waits for the gap before a fault, while the run trains.
func (t *trial) ready(ctx context.Context, f Fault, latest uint64) (Seen, error) {
	var ripe time.Time // when the gap is over; it begins when the run trains
	var found Seen
	err := t.until(ctx, f.Gap, func(s Seen) bool {
		found = s
		if s.State == wire.StateDone {
			return true
		}
		if s.State != wire.StateTraining || s.Step == 0 || t.Plan.Whole && len(s.Members) != t.wanted {
			return false
		}
		if ripe.IsZero() {
			ripe = time.Now().Add(f.Gap)
		}
		if time.Now().Before(ripe) && s.Step < latest {
			return false
		}
		_, err := f.choose(s)
		return err == nil
	})
	return found, err
}

// one does a fault and waits until the run has got over it.
func (t *trial) one(ctx context.Context, f Fault, s Seen) (Record, error) {
	f, to := t.Plan.fit(f, len(s.Members))
	hit, hold, err := t.inject(ctx, f, to, s)
	if refused := (*bus.RefusedError)(nil); errors.As(err, &refused) {
		r := hit.record(f, hold, outcome{}, t.spec.Batch.MicroBatches)
		r.Reason = err.Error()
		return r, nil
	}
	var o outcome
	healed := time.Now()
	if err == nil {
		switch f.Kind {
		case Drain:
			t.wanted = max(t.Plan.Workers.Min, t.wanted-1)
		case ScaleUp, ScaleDown:
			t.wanted = to
		}
		more := time.Duration(0)
		if f.Kind == Hang {
			more = t.Plan.Patience // a worker has some with what it computes
		}
		err = t.until(ctx, more, func(s Seen) bool {
			o = hit.outcome(f.Kind, t.watch.since(hit.at))
			// What comes next has to be asked of a coordinator that is there.
			told := hold == 0 || t.watch.toldSince(healed)
			return told && o.over(hit, f.Kind) || s.State == wire.StateDone
		})
	}
	r := hit.record(f, hold, o, t.spec.Batch.MicroBatches)
	if f.Kind.serves() != "" {
		r.Meanwhile = meanwhile(t.watch.since(hit.at), hit.at, healed)
		now := t.watch.newest()
		for _, m := range hit.before.Members {
			if len(now.Members) > 0 && !now.has(m.PID) {
				r.ThrownOut = append(r.ThrownOut, m.ID)
			}
		}
	}
	return r, err
}

// until waits for a condition on what the status shows, for as long as the plan's
// patience and more, if the run does not end.
func (t *trial) until(ctx context.Context, more time.Duration, holds func(Seen) bool) error {
	for end := time.Now().Add(t.Plan.Patience + more); ; waiting.Pause(ctx, lookEvery) {
		s := t.watch.newest()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case holds(s):
			return nil
		case t.cluster.ended():
			if err := t.cluster.failure(); err != nil {
				return err
			}
			return errEnded
		case time.Now().After(end):
			return fmt.Errorf("no end of it within %s; last seen: %s (%s)", t.Plan.Patience+more, s, s.Reason)
		}
	}
}

// end waits for the end of the run: as long as steps come, and for a while after
// the last.
func (t *trial) end(ctx context.Context) error {
	var last Seen
	for moved := time.Now(); ; waiting.Pause(ctx, 10*lookEvery) {
		s := t.watch.newest()
		if s.Step != last.Step || s.State != last.State {
			moved, last = time.Now(), s
		}
		limit := t.Plan.Patience
		if s.State == wire.StateDone {
			limit *= endWithin
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case t.cluster.ended():
			return t.cluster.failure()
		case time.Since(moved) > limit:
			return fmt.Errorf("no step within %s; last seen: %s (%s)", limit, s, s.Reason)
		}
	}
}
