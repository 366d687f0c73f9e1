package meter

import (
	"bytes"
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
func (m *machine) system(d disk) system {
	birth := m.now()
	return system{
		now: m.now, birth: birth, disk: d, powercap: m.root, lockDir: m.locks,
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

// memDisk is a disk that keeps what was not synced apart, and that fails or dies
// when it is told to.
type memDisk struct {
	mu     sync.Mutex // of everything below, contents of files included
	files  map[string]*memFile
	script func(op string) error
}

// set makes operations fail as script says.
func (d *memDisk) set(script func(op string) error) {
	d.mu.Lock()
	d.script = script
	d.mu.Unlock()
}

type memFile struct {
	disk    *memDisk
	volume  []byte
	synced  int // bytes of it
	touched time.Time
}

func newMemDisk() *memDisk {
	return &memDisk{files: map[string]*memFile{}, script: func(string) error { return nil }}
}

// crash returns the disk after a crash: of what was not synced, a prefix is left
// of every file.
func (d *memDisk) crash(prefix func(n int) int) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newMemDisk()
	for name, f := range d.files {
		left := bytes.Clone(f.volume[:f.synced+prefix(len(f.volume)-f.synced)])
		after.files[name] = &memFile{disk: after, volume: left, synced: len(left), touched: f.touched}
	}
	return after
}

func (d *memDisk) read(name string) ([]byte, time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		return bytes.Clone(f.volume), f.touched, nil
	}
	return nil, time.Time{}, nil
}

func (d *memDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.script("create"); err != nil {
		return nil, err
	}
	f := &memFile{disk: d, touched: time.Now()}
	d.files[name] = f
	return f, nil
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.script("rename"); err != nil {
		return err
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return d.script("renamed")
}

func (d *memDisk) touch(name string, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[name]; f != nil {
		f.touched = now
	}
	return nil
}

func (d *memDisk) size() int {
	b, _, _ := d.read(logFile)
	return len(b)
}

func (d *memDisk) close() error { return nil }

func (f *memFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.script("write"); err != nil {
		n := len(b) / 2
		f.volume = append(f.volume, b[:n]...)
		return n, err
	}
	f.volume = append(f.volume, b...)
	f.touched = time.Now()
	return len(b), nil
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.script("sync"); err != nil {
		return err
	}
	f.synced = len(f.volume)
	return nil
}

func (f *memFile) Close() error { return nil }

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
