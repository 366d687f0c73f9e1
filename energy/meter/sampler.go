package meter

import (
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/energy"
)

const (
	patience = 5   // intervals for which reads may fail before that is a gap
	maxParts = 512 // of a reading, after which it is finished whatever its age

	unreadable = "could not be read"
)

// sampler looks at all meters of a process. It does no I/O but that of its
// sources and claims, and has no clock.
type sampler struct {
	run       string
	interval  time.Duration
	birth     instant
	banks     []*bank // of counters of the host
	estimates []*post // of this process
	candidate bool    // may own counters
	sampled   bool
	post      func(Source) *post
	log       func(string, ...any)
}

// sample looks at everything once and returns the records that are finished.
// With `every` 0 all readings are finished, else those that are that long.
func (s *sampler) sample(at instant, use usage, slots []slot, every time.Duration) (done []energy.Record) {
	covers := map[string]coverage{}
	for _, b := range s.banks {
		done = append(done, s.counters(b, at, use, slots)...)
		b.coverage(s.run, at, covers)
	}
	for _, p := range s.estimates {
		if p.desc.Absent != "" {
			done = append(done, s.absent(p, at, slots)...)
			continue
		}
		done = append(done, s.estimate(p, covers[p.desc.Kind], at, slots)...)
	}
	s.sampled = true
	for _, p := range s.posts() {
		switch {
		case p.state == measuring && (p.at.boot-p.open.boot >= int64(every) || len(p.parts) >= maxParts || p.mixed()):
			done = append(done, p.finish()...)
		case every == 0 || at.boot-p.at.boot >= int64(longGap*s.interval):
			done = append(done, p.extend(at)...)
		}
	}
	return done
}

// estimate tends a meter of this process, which rests while a counter covers it.
func (s *sampler) estimate(p *post, now coverage, at instant, slots []slot) (done []energy.Record) {
	before := p.before
	p.before = now.by
	if now.by != another || now.run != p.by {
		done = p.leave()
	}
	if !s.sampled && p.desc.ProcessorTime {
		switch now.by {
		case nobody, ours: // nobody else has measured what this process has used until here
			p.begin(s.birth, 0, "")
		case another:
			p.rest(s.birth)
		}
	}
	switch now.by {
	case nobody:
		return append(done, s.uncoveredEstimate(p, before, at, slots)...)
	case another:
		return append(done, s.countedElsewhere(p, now, at, slots)...)
	}
	if (before == another || p.state == vacated) && at.boot > p.at.boot {
		done = append(done, p.gap(at, ownerEnded)) // from one owner to the next
	}
	switch now.by {
	case ours:
		if p.state == measuring {
			if done = s.read(p, at, slots); p.state == measuring { // until the counter began
				done = append(done, p.stop(at, p.silent(at))...)
			}
		}
	case sibling:
		if p.state == measuring {
			done = p.stop(at, "another process began to read a counter of the host")
		}
	}
	done = append(done, p.closeGap(at)...)
	p.restUntil(now.until)
	return done
}

// uncoveredEstimate estimates, since no counter is used. Where another process used
// one until the last look and has ended, a third may be about to take it over: that
// is waited for once.
func (s *sampler) uncoveredEstimate(p *post, before measurer, at instant, slots []slot) (done []energy.Record) {
	if p.state == measuring {
		if done = s.read(p, at, slots); p.state != measuring {
			p.missed(unreadable)
		}
		return done
	}
	if before == sibling || before == another {
		reason, ended := notUsed, !slices.ContainsFunc(s.banks, func(b *bank) bool { return b.taken })
		if ended {
			reason = ownerEnded
		}
		if p.state, p.reason = vacated, reason; ended {
			return nil
		}
	}
	raw, err := p.src.Read()
	if err != nil {
		if p.state != missing {
			s.log("meter %s: %v", p.desc.Meter, err)
		}
		if p.at == (instant{}) {
			p.rest(at) // a gap from here on
		}
		p.missed(unreadable)
		return done
	}
	reason := ""
	if p.state == vacated {
		reason = p.reason
	}
	done = append(done, p.closeGap(at)...)
	return append(done, p.begin(at, raw, reason)...)
}

// countedElsewhere states, while a process of another run reads the counters of the
// host, that its account has what this process draws.
func (s *sampler) countedElsewhere(p *post, now coverage, at instant, slots []slot) (done []energy.Record) {
	before := p.at
	switch p.state {
	case measuring:
		from := p.at
		done = p.finish() // since its last look the counter may have counted
		p.rest(from)
	case missing:
		done = p.close(at)
	case vacated: // from when on that one counts is not known
		if at.boot > p.at.boot {
			done = append(done, p.gap(at, p.reason))
		}
		p.rest(at)
	case standby:
		if p.at == (instant{}) {
			p.rest(at)
		}
	case elsewhere:
	}
	p.state, p.by, p.reason, p.until = elsewhere, now.run, foreign(now.run), now.until
	if p.at == before {
		p.miss(slots) // the gap began before them
	}
	return done
}

// leave ends the gap of what was elsewhere with the last look of who measured it.
func (p *post) leave() (done []energy.Record) {
	if p.state == elsewhere {
		done = p.closeGap(p.until)
	}
	return done
}

// absent states at the first look that a device is not metered, so that even a
// process that is killed has said so; the rest is an open gap.
func (s *sampler) absent(p *post, at instant, slots []slot) []energy.Record {
	p.miss(slots)
	if s.sampled {
		return nil
	}
	waiting := p.waiting
	p.rest(s.birth)
	p.waiting = waiting
	p.missed(p.desc.Absent)
	return p.extend(at)
}

// read looks at a running meter. It stands afterwards if that has failed for too
// long.
func (s *sampler) read(p *post, at instant, slots []slot) []energy.Record {
	raw, err := p.src.Read()
	if err == nil {
		done := p.look(at, raw, slots)
		for _, r := range done {
			if r.Gap != nil {
				s.log("meter %s: %s: counting starts again from here", p.desc.Meter, r.Gap.Reason)
			}
		}
		return done
	}
	p.miss(slots)
	p.doubt = unreadable
	if p.silence(at) <= patience*s.interval {
		return nil
	}
	s.log("meter %s: nothing for %s: %v", p.desc.Meter, p.silence(at).Round(time.Millisecond), err)
	return p.stop(at, fmt.Sprintf("%s: %v", unreadable, err))
}

// end finishes everything.
func (s *sampler) end(at instant) (done []energy.Record) {
	for _, p := range s.posts() {
		switch p.state {
		case measuring:
			done = append(done, p.stop(at, p.silent(at))...)
		case vacated:
			done = append(done, p.gap(at, p.reason))
		case elsewhere:
			done = append(done, p.leave()...)
		default:
			done = append(done, p.close(at)...)
		}
	}
	return done
}

// release gives up the counters of the host.
func (s *sampler) release() {
	for _, b := range s.banks {
		b.release()
	}
}

// open returns the readings and gaps that are not finished, for the log.
func (s *sampler) open(at instant) (readings []*energy.Reading, gaps []*energy.Gap) {
	for _, p := range s.posts() {
		if p.state == measuring {
			readings = append(readings, p.unfinished())
		} else if g := p.openGap(at); g != nil {
			gaps = append(gaps, g)
		}
	}
	return readings, gaps
}

// joules returns what all meters have seen so far.
func (s *sampler) joules() (sum float64) {
	for _, p := range s.posts() {
		sum += p.joules
	}
	return sum
}

func (s *sampler) posts() (all []*post) {
	for _, b := range s.banks {
		all = append(all, b.posts...)
	}
	return append(all, s.estimates...)
}

// spacing returns how long a reading becomes: an interval at first, so that a run
// of seconds shows something, soon thirty, since a ledger of hours need not know
// every second, and twice as long with every 512 records that wait for the service.
func spacing(interval, age time.Duration, backlog int) time.Duration {
	every := min(max(age/2, interval), 30*interval)
	every <<= min(backlog/512, 20)
	return every - interval/2 // a look may come a little early
}
