package meter

import (
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// slack is how large the log may become beyond twice what it has to hold.
const slack = 256 << 10

// cut returns this moment and what has passed since the last one.
func (m *Meter) cut() (instant, []slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.sys.now()
	return at, m.timeline.cut(at.boot, m.sys.busy())
}

// usage tells other processes what this one used and returns what all did. It is
// not asked for where the host has no counter.
func (m *Meter) usage(at instant) (u usage) {
	if len(m.sampler.banks) == 0 {
		return usage{}
	}
	own := m.sys.busy()
	u.busy = m.sys.load()
	if u.host = u.busy - m.hostBusy; m.hostBusy == 0 {
		u.host = 0
	}
	m.hostBusy = u.busy
	u.runs = m.register.look(own, slices.ContainsFunc(m.sampler.banks, func(b *bank) bool { return b.held }))
	var all int64
	for _, nanos := range u.runs {
		all += nanos
	}
	u.host = max(u.host, all) // which is told in hundredths of a second only
	u.own = u.runs[m.options.Run]
	delete(u.runs, m.options.Run)
	return u
}

// sample looks at all meters, stores what they say and queues what is finished;
// with `all`, every reading is.
func (m *Meter) sample(all bool) {
	m.sampling.Lock()
	defer m.sampling.Unlock()
	if m.closed || m.finished {
		return
	}
	m.look(all)
}

// look is sample for who holds the lock.
func (m *Meter) look(all bool) {
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
	if passed := at.boot - m.looked; passed > int64(m.options.Interval/2) {
		m.watts = (m.joules - m.then) / (float64(passed) / 1e9)
		m.looked, m.then = at.boot, m.joules
	}
}

// items encodes finished records.
func (m *Meter) items(done []energy.Record) (items []item) {
	for _, r := range done {
		it, err := newItem(r)
		if err != nil {
			m.options.Log("meter: %v", err) // integers, texts: it cannot happen
			continue
		}
		items = append(items, it)
	}
	return items
}

// store puts one look into the log, or writes that anew where it has become too
// long or broken. On failure everything is in memory and in the next attempt.
func (m *Meter) store(at instant, pending, items []item) {
	if m.failing && at.boot < m.retry {
		_ = m.sys.disk.touch(logFile, time.Unix(0, at.wall))
		return
	}
	anew := m.wal.broken || m.wal.size > slack+2*m.pendingBytes()
	if anew {
		items = slices.Concat(pending, items)
	}
	open, missing := m.sampler.open(at)
	log, err := encode(items, open, missing)
	switch {
	case err != nil:
	case anew:
		err = m.wal.rewrite(log)
	default:
		err = m.wal.append(log)
	}
	if err != nil {
		// The next incarnation shall know at least how long this one lived. This
		// fails only with what has failed already.
		_ = m.sys.disk.touch(logFile, time.Unix(0, at.wall))
		m.retry = at.boot + int64(longestWait)
	}
	if failing := err != nil; failing != m.failing {
		m.failing = failing
		if failing {
			m.options.Log("meter: readings are kept in memory only: %v", err)
		} else {
			m.options.Log("meter: readings are stored again")
		}
	}
}

// pending returns the records that are not acknowledged.
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

// batch returns the oldest records, as many as fit a message, and how many were
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
