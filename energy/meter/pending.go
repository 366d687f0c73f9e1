package meter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/vfs"
)

// Pending holds the records in the log of a process that has ended. Some may have been
// acknowledged: the log is trimmed only now and then.
type Pending struct {
	Process string // name of the log's folder
	Records []energy.Record
}

// ErrDamaged says that a log is not what was written.
var ErrDamaged = errors.New("damaged")

// asidePrefix begins the names of damaged logs that were set aside.
const asidePrefix = logFile + ".damaged-"

// ReadPending reads the logs in the folders under dir that no process uses, and changes
// nothing. It waits for a while for processes that are about to end. living is the number of
// logs still in use, whose processes send them.
func ReadPending(dir, run string, within time.Duration) (all []Pending, living int, err error) {
	living, err = eachIdleLog(dir, within, func(name string, d *folder) error {
		_, records, err := readIdleLog(d, run)
		if len(records) > 0 {
			all = append(all, Pending{name, records})
		}
		return err
	})
	return all, living, err
}

// SendPending sends the records in the logs under dir of processes that have ended, and
// empties these logs once the records are acknowledged: the next process of that name may
// never come.
func SendPending(ctx context.Context, dir, run string, send func(context.Context, []energy.Record) error) (sent, living int, err error) {
	living, err = eachIdleLog(dir, 0, func(name string, d *folder) error {
		log, records, err := readIdleLog(d, run)
		if err != nil || len(records) == 0 {
			return err
		}
		for n := 0; n < len(records); n += maxRecords / 2 {
			if err := send(ctx, records[n:min(n+maxRecords/2, len(records))]); err != nil {
				return fmt.Errorf("send pending readings of %s: %w", name, err)
			}
		}
		sent += len(records)
		b, err := emptyLog(log)
		if err != nil {
			return err
		}
		w := wal{folder: d}
		if err := w.rewrite(b); err != nil {
			return fmt.Errorf("empty the log: %w", err)
		}
		return w.file.Close()
	})
	return sent, living, err
}

// eachIdleLog calls f for every folder under dir with a log that no process uses, or soon
// uses no more, and locks the folder meanwhile. A process that starts waits for the lock.
func eachIdleLog(dir string, within time.Duration, f func(name string, d *folder) error) (living int, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("logs of readings: %w", err)
	}
	var errs []error
	end := time.Now().Add(within)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		aside, err := filepath.Glob(filepath.Join(path, asidePrefix+"*"))
		for _, name := range aside {
			err = errors.Join(err, fmt.Errorf("%s: %w: records that only it holds are not in the ledger", filepath.Base(name), ErrDamaged))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log of readings of %s: %w", e.Name(), err))
		}
		if info, err := os.Stat(filepath.Join(path, logFile)); err != nil || info.Size() == 0 {
			continue
		}
		lock, err := vfs.Lock(vfs.OS{}, path, time.Until(end))
		if errors.Is(err, ErrInUse) {
			living++
			continue
		}
		if err == nil {
			err = errors.Join(f(e.Name(), &folder{vfs.OS{}, path, lock}), lock.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log of readings of %s: %w", e.Name(), err))
		}
	}
	return living, failures.Of(errs...)
}

// readIdleLog returns a log that no process uses, and its records.
func readIdleLog(d *folder, run string) (batch, []energy.Record, error) {
	b, alive, err := d.read(logFile)
	if err != nil {
		return batch{}, nil, err
	}
	log, whole := parse(b)
	if damaged(b, whole) {
		return batch{}, nil, fmt.Errorf("%s: %w at byte %d of %d: its records from there on are not in the ledger", logFile, ErrDamaged, whole, len(b))
	}
	for _, r := range log.records() {
		if s := r.Source(); s.Run != run {
			return batch{}, nil, fmt.Errorf("the log is of run %s, this is run %s", s.Run, run)
		}
	}
	return log, replay(log, now(), BootID(), alive.Add(time.Second).UnixNano()), nil
}

// FreeName returns the first of base-1, base-2, … whose log under dir no process uses: on
// a host whose workers come and go, the next one sends the pending readings of an earlier
// one. Another process may still open the log first.
func FreeName(dir, base string) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s-%d", base, n)
		lock, err := vfs.Lock(vfs.OS{}, filepath.Join(dir, name), 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil
		case errors.Is(err, ErrInUse):
		case err != nil:
			return "", fmt.Errorf("log of readings of %s: %w", name, err)
		default:
			return name, lock.Close()
		}
	}
}
