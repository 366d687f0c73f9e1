package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// dyingWithin is how long the processes of a run that was killed may take to end.
const dyingWithin = 5 * time.Second

// sweep writes into the ledger what processes of the run that have ended left in
// their logs: no other of their name may come.
func (s *Service) sweep() {
	n, err := sweep(rundir.Dir(s.cfg.RunDir), s.cfg.Spec.Run, s.ledger, s.log)
	if err != nil {
		s.log.Warn("energy readings of processes that have ended stay where they are", zap.Error(err))
	}
	if n > 0 {
		s.log.Info("took in energy readings of processes that have ended", zap.Int("readings", n))
	}
}

// sweep returns how many readings the ledger did not hold before.
func sweep(dir rundir.Dir, run string, l *ledger.Log, log *zap.Logger) (fresh int, err error) {
	_, _, err = meter.Sweep(context.Background(), dir.Energy(), run, func(_ context.Context, records []energy.Record) error {
		before := fresh
		for _, r := range records {
			if !l.HasRecord(r.Source().Key()) {
				fresh++
			}
		}
		if err := appendTo(l, log, entriesFrom(records)); err != nil {
			fresh = before
			return err
		}
		return nil
	})
	return fresh, err
}

// Settle writes into the ledger of a run that is not up what its processes left in
// their logs, and returns how many readings that were. A run that has no ledger yet
// has nowhere to write them.
func Settle(run, software string, log *zap.Logger) (readings int, err error) {
	dir := rundir.Dir(run)
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return 0, err
	}
	left, living, err := meter.Leftovers(dir.Energy(), spec.Run)
	for end := time.Now().Add(dyingWithin); err == nil && living > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		left, living, err = meter.Leftovers(dir.Energy(), spec.Run)
	}
	if err != nil || len(left) == 0 {
		return 0, err
	}
	if _, err := os.Stat(dir.Ledger()); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	l, _, err := openLedger(dir, spec, software)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return sweep(dir, spec.Run, l, log)
}

// Unsent is what a process measured, and could not send before it ended.
type Unsent struct {
	Process string `json:"process"`
	Records int    `json:"records"`
	MicroJ  int64  `json:"uj"`
}

// ErrUnsent says that the ledger of a run that is done lacks energy that was
// measured.
var ErrUnsent = errors.New("energy that was measured is not in the ledger")

// unsent finds what stands in the logs of processes that have ended and not in the
// ledger. A run that goes on, or will, takes it in; living says that processes of it
// are there.
func unsent(dir rundir.Dir, a *ledger.Account) (all []Unsent, living bool, err error) {
	left, n, err := meter.Leftovers(dir.Energy(), a.Run)
	for _, l := range left {
		u := Unsent{Process: l.Process}
		for _, r := range l.Records {
			if a.Holds(r.Source().Key()) {
				continue
			}
			u.Records++
			if r.Reading != nil {
				sum, ok := energy.Add(u.MicroJ, r.Reading.MicroJ)
				if !ok {
					return all, n > 0, fmt.Errorf("log of readings of %s: the energy overflows", l.Process)
				}
				u.MicroJ = sum
			}
		}
		if u.Records > 0 {
			all = append(all, u)
		}
	}
	return all, n > 0, err
}

// String is one line of a report.
func (u Unsent) String() string {
	return fmt.Sprintf("%s of %s, %.4f Wh", words.Several(u.Records, "record"), u.Process, energy.WattHours(u.MicroJ))
}
