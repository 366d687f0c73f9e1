package meter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

const (
	gib        = 1 << 20        // in KiB
	smallRange = 65_532_610_987 // µJ, the smallest range of a counter that was seen
)

// machine is a host whose clock is time.Now (virtual within synctest) and whose
// process is half busy and holds a GiB: 2 W of processor and 0.375 W of memory
// with the default estimates.
type machine struct {
	booted time.Time
	root   string // of powercap
	locks  string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{time.Now().Add(-time.Hour), t.TempDir(), t.TempDir()}
}

func (m *machine) now() instant {
	t := time.Now()
	return instant{boot: int64(t.Sub(m.booted)), wall: t.UnixNano()}
}

// system returns what a process that begins now sees.
func (m *machine) system(t *testing.T, d memDisk) system {
	t.Helper()
	birth := m.now()
	return system{
		now: m.now, birth: birth, folder: d.folder(t), powercap: m.root, lockDir: m.locks,
		busy:        func() uint64 { return uint64(m.now().boot-birth.boot) / 2 },
		residentKiB: func() (uint64, error) { return gib, nil },
		load:        func() int64 { return m.now().boot }, // one processor is busy all the time
		threads:     4,
	}
}

// zone adds or changes a counter of the fake tree.
func (m *machine) zone(t *testing.T, id, name string, value, wrap uint64) {
	t.Helper()
	dir := filepath.Join(m.root, "intel-rapl:"+id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"name": name + "\n", "energy_uj": fmt.Sprintln(value), "max_energy_range_uj": fmt.Sprintln(wrap),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// service is a checkpoint service: it counts each record once.
type service struct {
	mu      sync.Mutex
	down    error
	calls   int
	records []energy.Record
	seen    map[energy.Key]bool
	twice   int
}

func (s *service) send(_ context.Context, records []energy.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.down != nil {
		return s.down
	}
	for _, r := range records {
		if k := r.Source().Key(); s.seen[k] {
			s.twice++
			continue
		} else if s.seen == nil {
			s.seen = map[energy.Key]bool{k: true}
		} else {
			s.seen[k] = true
		}
		s.records = append(s.records, r)
	}
	return nil
}

func (s *service) set(down error) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
}

func (s *service) all() []energy.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func options(t *testing.T, process, incarnation string, s *service) Options {
	return Options{
		Run: "run", Process: process, Incarnation: incarnation, Host: "host", BootID: "boot", Dir: "unused",
		CPUWattsPerCore: 4, RAMWattsPerGB: 0.375, Interval: time.Second,
		Send: s.send, Log: t.Logf,
	}
}

func mustOpen(t *testing.T, o Options, s system) *Meter {
	t.Helper()
	m, err := open(o, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// meterKey names one meter of one incarnation.
type meterKey struct{ worker, incarnation, meter string }

// check fails unless the records are what a ledger accepts: valid, in order, and
// each meter's sequence, time and raw numbers without an unstated hole. It
// returns them by meter.
func check(t *testing.T, records []energy.Record) map[meterKey][]energy.Record {
	t.Helper()
	by := map[meterKey][]energy.Record{}
	for _, r := range records {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
		s := r.Source()
		k := meterKey{s.Worker, s.Incarnation, s.Meter}
		by[k] = append(by[k], r)
		if s.Seq != uint64(len(by[k])) {
			t.Errorf("%v: record %d has sequence number %d", k, len(by[k]), s.Seq)
		}
	}
	for k, records := range by {
		for i := 1; i < len(records); i++ {
			before, r := records[i-1].Reading, records[i].Reading
			if before != nil && r != nil && !slices.Contains(r.Quality, energy.QualityBaseline) &&
				(r.RawStart != before.RawEnd || r.Start != before.End) {
				t.Errorf("%v: reading %d does not continue the one before and does not say so", k, r.Seq)
			}
			if a, b := spanOf(records[i-1]), spanOf(records[i]); a.End > b.Start {
				t.Errorf("%v: record %d begins before the one before it ends", k, i+1)
			}
		}
	}
	return by
}

func spanOf(r energy.Record) energy.Span {
	if r.Gap != nil {
		return r.Gap.Span
	}
	return r.Reading.Span
}

func microJ(records []energy.Record) (sum int64) {
	for _, r := range records {
		if r.Reading != nil {
			sum += r.Reading.MicroJ
		}
	}
	return sum
}

func gaps(records []energy.Record) (list []*energy.Gap) {
	for _, r := range records {
		if r.Gap != nil {
			list = append(list, r.Gap)
		}
	}
	return list
}

// memDisk is the file system of a process and the folder of its log.
type memDisk struct{ *memfs.FS }

func newMemDisk() memDisk {
	d := memDisk{memfs.New()}
	if err := vfs.MkdirAll(d, "/readings", 0o755); err != nil {
		panic(err)
	}
	return d
}

func (d memDisk) folder(t *testing.T) *folder {
	t.Helper()
	f, err := openFolder(d, "/readings")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// size is that of the log.
func (d memDisk) size() int64 {
	info, err := d.Stat("/readings/" + logFile)
	if err != nil {
		return 0
	}
	return info.Size()
}

var errFull = errors.New("no space left on device")

// lines are events that were logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) log(format string, args ...any) {
	l.mu.Lock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
	l.mu.Unlock()
}

func (l *lines) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}
