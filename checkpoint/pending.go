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
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// exitTimeout is how long the processes of a killed run may take to exit.
const exitTimeout = 5 * time.Second

// ingestPending writes the pending readings of processes that have ended into the ledger:
// another process of their name may never come.
func (s *Service) ingestPending() {
	n, err := appendPending(rundir.Dir(s.cfg.RunDir), s.cfg.Spec.Run, s.ledger, s.log)
	if err != nil {
		s.log.Warn("pending energy readings are not in the ledger yet", zap.Error(err))
	}
	if n > 0 {
		s.log.Info("wrote pending energy readings into the ledger", zap.Int("readings", n))
	}
}

// appendPending appends the pending readings of processes that have ended to a ledger, and
// returns how many are new to it.
func appendPending(dir rundir.Dir, run string, l *ledger.Log, log *zap.Logger) (fresh int, err error) {
	_, _, err = meter.SendPending(context.Background(), dir.Energy(), run, func(_ context.Context, records []energy.Record) error {
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

// RecoverPending writes the pending readings of a run that is not up into its ledger and
// returns how many there were. Without a ledger yet it does nothing.
func RecoverPending(run, software string, log *zap.Logger) (readings int, err error) {
	dir := rundir.Dir(run)
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return 0, err
	}
	left, _, err := meter.ReadPending(dir.Energy(), spec.Run, exitTimeout)
	if err != nil || len(left) == 0 {
		return 0, err
	}
	if _, err := os.Stat(dir.Ledger()); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	l, _, err := openLedger(vfs.OS{}, dir, spec, software)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return appendPending(dir, spec.Run, l, log)
}

// PendingReadings counts the readings of a process that has ended and that the ledger does
// not hold.
type PendingReadings struct {
	Process string `json:"process"`
	Records int    `json:"records"`
	MicroJ  int64  `json:"uj"`
}

// ErrPendingReadings says that the ledger of a finished run lacks energy that was
// measured.
var ErrPendingReadings = errors.New("energy that was measured is not in the ledger")

// findPending finds records in the logs of processes that have ended and not in the
// ledger. A run that continues ingests them; living says that processes of the run are
// alive.
func findPending(dir rundir.Dir, a *ledger.Account) (all []PendingReadings, living bool, err error) {
	left, n, err := meter.ReadPending(dir.Energy(), a.Run, 0)
	for _, l := range left {
		u := PendingReadings{Process: l.Process}
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

// String returns one line of a report.
func (p PendingReadings) String() string {
	return fmt.Sprintf("%s of %s, %.4f Wh", words.Several(p.Records, "record"), p.Process, energy.WattHours(p.MicroJ))
}
