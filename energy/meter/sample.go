package meter

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// logSlack is how much larger than twice its content the log may become.
const logSlack = 256 << 10

// cut returns this moment and the slots since the last cut.
func (m *Meter) cut() (instant, []slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.sys.now()
	return at, m.timeline.cut(at.boot, m.sys.busy())
}

// usage is the processor time of the host, in ns.
type usage struct {
	busy    int64            // of the whole host since boot
	host    int64            // of the whole host since the last sample
	thisRun int64            // of this run since the last sample
	runs    map[string]int64 // of other runs since the last sample
}

func (u usage) load() energy.Load {
	return energy.Load{HostNanos: max(0, u.host), RunNanos: max(0, u.thisRun), Runs: u.runs}
}

// usage publishes the processor time of this process and returns that of all. It does
// nothing where the host has no counter.
func (m *Meter) usage(at instant) (u usage) {
	if len(m.sampler.groups) == 0 {
		return usage{}
	}
	own := m.sys.busy()
	u.busy = m.sys.load()
	if u.host = u.busy - m.hostBusy; m.hostBusy == 0 {
		u.host = 0
	}
	m.hostBusy = u.busy
	u.runs = m.register.update(own, slices.ContainsFunc(m.sampler.groups, func(b *counterGroup) bool { return b.owned }))
	var all int64
	for _, nanos := range u.runs {
		all += nanos
	}
	u.host = max(u.host, all) // the host's time has a resolution of hundredths of a second
	u.thisRun = u.runs[m.options.Run]
	delete(u.runs, m.options.Run)
	return u
}

// sample samples all meters, stores the result and queues finished records; with `all`,
// every reading is finished.
func (m *Meter) sample(all bool) {
	m.sampling.Lock()
	defer m.sampling.Unlock()
	if m.closed || m.finished {
		return
	}
	m.sampleLocked(all)
}

// sampleLocked is sample with the lock held.
func (m *Meter) sampleLocked(all bool) {
	at, slots := m.cut()
	pending := m.pending()
	every := time.Duration(0)
	if !all {
		every = spacing(m.options.Interval, time.Duration(at.boot-m.sys.birth.boot), len(pending))
	}
	done := m.sampler.sample(at, m.usage(at), slots, every)
	items := m.items(done)
	m.store(at, pending, items)
	m.enqueue(items) // not sent before it is stored, if it can be

	m.mu.Lock()
	defer m.mu.Unlock()
	m.joules = m.sampler.joules()
	if passed := at.boot - m.wattsAt; passed > int64(m.options.Interval/2) {
		m.watts = (m.joules - m.wattsJoules) / (float64(passed) / 1e9)
		m.wattsAt, m.wattsJoules = at.boot, m.joules
	}
}

// items encodes finished records.
func (m *Meter) items(done []energy.Record) (items []item) {
	for _, r := range done {
		it, err := newItem(r)
		if err != nil {
			m.options.Log("meter: %v", err) // cannot happen: records are integers and texts
			continue
		}
		items = append(items, it)
	}
	return items
}

// store appends one sample to the log, or rewrites the log where it has become too long or
// is broken. After a failure everything stays in memory for the next attempt.
func (m *Meter) store(at instant, pending, items []item) {
	if m.storeFailing && at.boot < m.storeRetryAt {
		_ = m.sys.folder.touch(logFile, time.Unix(0, at.wall))
		return
	}
	rewrite := m.wal.broken || m.wal.size > logSlack+2*m.pendingBytes()
	if rewrite {
		items = slices.Concat(pending, items)
	}
	open, missing := m.sampler.open(at)
	log, err := encode(items, open, missing)
	switch {
	case err != nil:
	case rewrite:
		err = m.wal.rewrite(log)
	default:
		err = m.wal.append(log)
	}
	if err != nil {
		// The next incarnation must at least know how long this one lived. A failure
		// here follows from the one before.
		_ = m.sys.folder.touch(logFile, time.Unix(0, at.wall))
		m.storeRetryAt = at.boot + int64(sendBackoff.Longest)
	}
	if failing := err != nil; failing != m.storeFailing {
		m.storeFailing = failing
		if failing {
			m.options.Log("meter: readings are kept in memory only: %v", err)
		} else {
			m.options.Log("meter: readings are stored again")
		}
	}
}

// pending returns the records that are not acknowledged yet.
func (m *Meter) pending() []item {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue[:len(m.queue):len(m.queue)]
}

func (m *Meter) pendingBytes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

func (m *Meter) enqueue(items []item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range items {
		m.queue = append(m.queue, it)
		m.bytes += len(it.json)
		m.issued++
	}
	if len(m.queue) > 0 {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// batch returns as many of the oldest records as fit a message, and how many were
// acknowledged before them.
func (m *Meter) batch() (records []energy.Record, before uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := 0
	for _, it := range m.queue {
		if size += len(it.json); len(records) > 0 && (size > maxBatch || len(records) == maxRecords) {
			break
		}
		records = append(records, it.record)
	}
	return records, m.issued - uint64(len(m.queue))
}

// acknowledge drops the n oldest records.
func (m *Meter) acknowledge(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		m.bytes -= len(m.queue[i].json)
	}
	m.queue = append([]item(nil), m.queue[n:]...)
}
