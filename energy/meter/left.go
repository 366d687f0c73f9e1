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
)

// Left is what a process that has ended left in its log. Some of it may have been
// acknowledged: the log is trimmed now and then only.
type Left struct {
	Process string // name of the log's folder
	Records []energy.Record
}

// ErrDamaged says of a log that it is not what was written.
var ErrDamaged = errors.New("damaged")

// asidePrefix begins the names of logs that were damaged when a process began.
const asidePrefix = logFile + ".damaged-"

// Leftovers reads the logs in the folders under dir that no process uses, and
// changes nothing. living is how many others there are, whose processes send
// themselves.
func Leftovers(dir, run string) (all []Left, living int, err error) {
	living, err = each(dir, func(name string, d disk) error {
		_, records, err := left(d, run)
		if len(records) > 0 {
			all = append(all, Left{name, records})
		}
		return err
	})
	return all, living, err
}

// Sweep sends what processes that have ended left in their logs under dir, and
// empties these once it is acknowledged. It is for whoever can send, since the next
// process of such a name may never come.
func Sweep(ctx context.Context, dir, run string, send func(context.Context, []energy.Record) error) (sent, living int, err error) {
	living, err = each(dir, func(name string, d disk) error {
		log, records, err := left(d, run)
		if err != nil || len(records) == 0 {
			return err
		}
		for n := 0; n < len(records); n += maxRecords / 2 {
			if err := send(ctx, records[n:min(n+maxRecords/2, len(records))]); err != nil {
				return fmt.Errorf("send what %s left: %w", name, err)
			}
		}
		sent += len(records)
		b, err := emptied(log)
		if err != nil {
			return err
		}
		w := wal{disk: d}
		if err := w.rewrite(b); err != nil {
			return fmt.Errorf("empty it: %w", err)
		}
		return w.file.Close()
	})
	return sent, living, err
}

// each calls f for every folder under dir with a log that no process uses, and
// keeps it from being used meanwhile. A process that begins waits for that.
func each(dir string, f func(name string, d disk) error) (living int, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("logs of readings: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		aside, err := filepath.Glob(filepath.Join(path, asidePrefix+"*"))
		for _, name := range aside {
			err = errors.Join(err, fmt.Errorf("%s: %w: what only it holds is not in the ledger", filepath.Base(name), ErrDamaged))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log of readings of %s: %w", e.Name(), err))
		}
		if info, err := os.Stat(filepath.Join(path, logFile)); err != nil || info.Size() == 0 {
			continue
		}
		lock, err := lockFolder(path)
		if errors.Is(err, ErrInUse) {
			living++
			continue
		}
		if err == nil {
			err = errors.Join(f(e.Name(), &folder{path, lock}), lock.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("log of readings of %s: %w", e.Name(), err))
		}
	}
	return living, errors.Join(errs...)
}

// left returns a log without a process, and what it says.
func left(d disk, run string) (batch, []energy.Record, error) {
	b, alive, err := d.read(logFile)
	if err != nil {
		return batch{}, nil, err
	}
	log, whole := parse(b)
	if damaged(b, whole) {
		return batch{}, nil, fmt.Errorf("%s: %w at byte %d of %d: what it holds from there on is not in the ledger", logFile, ErrDamaged, whole, len(b))
	}
	for _, s := range log.sources() {
		if s.Run != run {
			return batch{}, nil, fmt.Errorf("it is of run %s, this is run %s", s.Run, run)
		}
	}
	return log, replay(log, now(), BootID(), alive.Add(time.Second).UnixNano()), nil
}

// FreeName returns the first of base-1, base-2, … whose log under dir no process
// uses: of a host whose workers come and go the next takes on what the one before
// left. Whoever opens the log may still find that another was quicker.
func FreeName(dir, base string) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s-%d", base, n)
		lock, err := lockFolder(filepath.Join(dir, name))
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
