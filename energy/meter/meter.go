package meter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// Options name the metered process and where its records go.
type Options struct {
	Run             string
	Process         string // stable name of the process
	Incarnation     string // of that name: another at every start
	Host            string
	BootID          string
	Dir             string        // of the write-ahead log; one a process name
	CPUWattsPerCore float64       // of the estimate for processors; 0 switches it off
	RAMWattsPerGB   float64       // likewise for memory
	Interval        time.Duration // between two samples of the meters; 0 is a second
	// HostCounters lets this process own the counters of its host. It is for workers,
	// whose phases say what the energy of a host was for.
	HostCounters bool
	Used         time.Duration // processor time that counts as this process's, before its start
	Sources      []Source      // in addition to processor, memory and RAPL; Close closes them
	// Send returns nil once the checkpoint service holds the records durably.
	// Its context has a deadline. It is not called concurrently.
	Send func(context.Context, []energy.Record) error
	Log  func(format string, args ...any) // events worth a line; nil drops them
}

// Meter meters one process. Its methods may be called concurrently.
type Meter struct {
	options Options
	sys     system
	wake    chan struct{} // there is something to send
	sending chan struct{} // holds one token during a send

	sampling       sync.Mutex // of samples and of the log; taken before mu
	sampler        sampler
	wal            wal
	storeFailing   bool     // the last write of the log failed
	storeRetryAt   int64    // on the clock since boot
	finished       bool     // nothing is sampled any more
	replacesKilled bool     // the last process of this name was killed
	register       register // of the processes of this host that have a meter
	hostBusy       int64    // processor time of the host at the last sample
	closed         bool

	mu          sync.Mutex // held for microseconds only
	timeline    timeline
	wattsAt     int64   // when watts were last computed, on the clock since boot
	wattsJoules float64 // joules at that time
	joules      float64
	watts       float64
	queue       []item // not acknowledged, in order
	bytes       int    // of their encodings
	issued      uint64 // records that were ever queued
}

// system is what a Meter needs of its machine.
type system struct {
	now         func() instant
	busy        func() uint64          // processor time of this process in ns
	load        func() int64           // processor time of the whole host since boot in ns, 0 if unknown
	threads     int                    // of the host
	residentKiB func() (uint64, error) // memory of this process
	birth       instant                // of this process
	folder      *folder                // of the log
	powercap    string                 // root of the RAPL counters
	lockDir     string                 // folder of the locks of counters of the host
}

// Open starts to meter. It also sends the pending readings of earlier incarnations of
// this process. It is an error if another process uses the log, or if the log belongs to
// another run. A Meter needs Linux: elsewhere the error is errors.ErrUnsupported.
func Open(o Options) (*Meter, error) {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	sys, err := realSystem(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	m, err := open(o, sys)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open meter: %w", err), sys.folder.close())
	}
	return m, nil
}

func (o Options) validate() error {
	switch {
	case o.Run == "" || o.Process == "" || o.Incarnation == "" || o.Host == "":
		return errors.New("run, process, incarnation or host is not named")
	case o.Dir == "":
		return errors.New("no folder for the write-ahead log")
	case o.Send == nil:
		return errors.New("nowhere to send readings")
	case o.Interval < 0:
		return fmt.Errorf("an interval of %s is negative", o.Interval)
	}
	return nil
}

func open(o Options, sys system) (*Meter, error) {
	if own := sys.busy; o.Used > 0 {
		sys.busy = func() uint64 { return own() + uint64(o.Used) }
	}
	m := &Meter{
		options: o, sys: sys, wal: wal{folder: sys.folder, broken: true},
		wake: make(chan struct{}, 1), sending: make(chan struct{}, 1),
		wattsAt: sys.birth.boot,
		sampler: sampler{run: o.Run, interval: o.Interval, birth: sys.birth, candidate: o.HostCounters, log: o.Log},
	}
	m.sampler.newGauge = m.newGauge
	if err := m.recover(); err != nil {
		return nil, err
	}
	m.timeline = newTimeline(sys.birth.boot, 0, m.effectivePhase(energy.Preparation))
	find := func() []hostCounter { return findRAPL(sys.powercap, sys.threads) }
	if found := find(); len(found) > 0 {
		m.addGroup("rapl", found).find = find
	}
	processor, memory := newProcessor(sys.busy, o.CPUWattsPerCore), newMemory(sys.now, sys.residentKiB, o.RAMWattsPerGB)
	for _, p := range slices.Concat([]Source{processor, memory}, o.Sources) {
		switch {
		case p == nil:
		case p.Describe().Scope == energy.Process:
			m.sampler.estimates = append(m.sampler.estimates, m.newGauge(p))
		default:
			m.addGroup(p.Describe().Meter, []hostCounter{{Source: p, mayStandStill: true}})
		}
	}
	m.register = newRegister(sys.lockDir, o.BootID, o.Run)
	m.sample(false)
	return m, nil
}

// addGroup adds a group of counters of the host.
func (m *Meter) addGroup(name string, counters []hostCounter) *counterGroup {
	b := &counterGroup{
		lock:         newCounterLock(m.sys.lockDir, m.options.BootID, name, holder{Run: m.options.Run, Process: m.options.Process}),
		plausibility: plausibility{patience: patience * m.options.Interval},
	}
	for _, c := range counters {
		b.add(c, m.sampler.newGauge(c.Source))
	}
	m.sampler.groups = append(m.sampler.groups, b)
	return b
}

func (m *Meter) newGauge(s Source) *gauge {
	o, d := m.options, s.Describe()
	return &gauge{src: s, track: track{desc: d, source: energy.Source{
		Run: o.Run, Worker: o.Process, Incarnation: o.Incarnation, Host: o.Host, BootID: o.BootID,
		Meter: d.Meter, Kind: d.Kind,
	}}}
}

// recover queues the pending readings of earlier incarnations.
func (m *Meter) recover() error {
	b, alive, err := m.sys.folder.read(logFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", logFile, err)
	}
	log, whole := parse(b)
	if damaged(b, whole) {
		aside := fmt.Sprintf("%s%d", asidePrefix, m.sys.now().wall)
		if err := m.sys.folder.rename(logFile, aside); err != nil {
			return fmt.Errorf("set a damaged %s aside: %w", logFile, err)
		}
		m.options.Log("meter: %s is damaged at byte %d of %d: kept as %s", logFile, whole, len(b), aside)
	} else if whole < len(b) {
		m.options.Log("meter: %s: the last %d of %d bytes are incomplete and are dropped", logFile, len(b)-whole, len(b))
	}
	for _, r := range log.records() {
		switch s := r.Source(); {
		case s.Run != m.options.Run:
			return fmt.Errorf("%s holds readings of run %s, this is run %s", logFile, s.Run, m.options.Run)
		case s.Incarnation == m.options.Incarnation:
			return fmt.Errorf("%s holds readings of this incarnation, %s: every start needs another", logFile, s.Incarnation)
		}
	}
	m.replacesKilled = log.killed()
	death := alive.Add(m.options.Interval).UnixNano()
	m.enqueue(m.items(replay(log, m.sys.now(), m.options.BootID, death)))
	return nil
}

// effectivePhase returns the phase that is charged: preparing and joining after a kill of
// the last process of this name is part of the recovery from it.
func (m *Meter) effectivePhase(p energy.Phase) energy.Phase {
	if m.replacesKilled && (p == energy.Preparation || p == energy.Joining) {
		return energy.Recovery
	}
	return p
}

// Phase charges the energy from now on to phase p, in this generation and step. Until the
// first call it is charged to energy.Preparation. An unknown phase is ignored. A call
// costs two readings of a clock, about two microseconds.
func (m *Meter) Phase(p energy.Phase, generation, step uint64) {
	if !p.Valid() {
		m.options.Log("meter: unknown phase %q", p)
		return
	}
	m.mu.Lock()
	m.timeline.change(m.sys.now().boot, m.sys.busy(), m.effectivePhase(p), generation, step)
	m.mu.Unlock()
}

// Totals returns the energy since the start of the process, in joules, and the mean power
// between the last two samples, in watts.
func (m *Meter) Totals() (joules, watts float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.joules, m.watts
}

// Close takes a last sample unless the Meter is finished, stores unacknowledged records
// for the next incarnation, and gives up the counters. Run must have returned before. A
// second call does nothing.
func (m *Meter) Close() error {
	m.sampling.Lock()
	defer m.sampling.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if !m.finished {
		at, slots := m.cut()
		done := m.sampler.sample(at, m.usage(at), slots, 0)
		done = append(done, m.sampler.finishAll(at)...)
		m.enqueue(m.items(done))
	}
	m.sampler.release()
	m.register.remove()
	log, err := encode(m.pending(), nil, nil)
	if err == nil {
		err = m.wal.rewrite(log)
	}
	err = errors.Join(err, m.wal.close())
	for _, p := range m.sampler.gauges() {
		err = errors.Join(err, p.src.Close())
	}
	if err != nil {
		return fmt.Errorf("close meter: %w", err)
	}
	return nil
}
