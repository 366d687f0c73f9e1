package meter

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/energy"
)

const (
	patience = 5   // intervals for which reads may fail before that is a gap
	maxParts = 512 // of a reading, after which it is finished whatever its age

	unreadable = "could not be read"
)

// cover says who measures a kind of device for all processes of the run here.
type cover int

const (
	nobody cover = iota
	ours         // this process, with a counter
	theirs       // another process of the run, with a counter
	ended        // nobody, but it was theirs at the last look: somebody may be about to take over
)

// claim is the right to a counter of the host, which one process has at a time.
type claim interface {
	// take reports whether this process has the right now, for its run.
	take() bool
	// theirs reports whether another process of the same run has it.
	theirs() bool
	release()
}

// post is a source with its track, and for a counter of the host the claim.
type post struct {
	src Source
	track
	claim claim // nil: the meter of a process
	cover cover // an estimate: who covered it when it was last looked at
	lost  bool  // it stands because it cannot be read
	dark  bool  // a counter that is lost, and another of its kind keeps the estimate at rest
}

// sampler looks at all meters of a process. It does no I/O but that of its
// sources and claims, and has no clock.
type sampler struct {
	interval  time.Duration
	birth     instant
	counters  []*post // of the host
	estimates []*post // of this process
	candidate bool    // may own counters
	sampled   bool
	log       func(string, ...any)
}

// sample looks at everything once and returns the records that are finished.
// With `every` 0 all readings are finished, else those that are that long.
func (s *sampler) sample(at instant, slots []slot, every time.Duration) (done []energy.Record) {
	covers := map[string]cover{}
	for _, p := range s.counters {
		done = append(done, s.counter(p, at, slots)...)
		for _, kind := range p.desc.Covers {
			if p.runs {
				covers[kind] = max(covers[kind], ours)
			} else if p.cover == theirs {
				covers[kind] = theirs
			}
		}
	}
	for _, p := range s.counters {
		done = append(done, s.sibling(p, covers, at)...)
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
		if p.runs && (p.at.boot-p.open.boot >= int64(every) || len(p.parts) >= maxParts || p.mixed()) {
			done = append(done, p.finish()...)
		}
	}
	return done
}

// counter tends a counter of the host: reads it, or tries to become its owner.
func (s *sampler) counter(p *post, at instant, slots []slot) []energy.Record {
	if p.runs {
		done := s.read(p, at, slots)
		if !p.runs {
			p.claim.release()
		}
		return done
	}
	before := p.cover
	p.cover = nobody
	if s.candidate {
		// Whoever holds a counter can read it.
		raw, err := p.src.Read()
		p.lost = err != nil
		if err == nil && p.claim.take() {
			reason := ""
			switch {
			case before == theirs:
				reason = "the process that read this counter ended"
			case p.dark:
				reason = unreadable
			}
			p.dark = false
			return p.begin(at, raw, reason)
		}
	}
	var done []energy.Record
	if p.claim.theirs() {
		if p.dark {
			done, p.dark = append(done, p.gap(at, unreadable)), false
		}
		p.cover = theirs
		p.rest(at)
	}
	return done
}

// sibling sees to a counter that cannot be read beside others of its kind that can:
// nothing estimates what it would have measured, so that is a gap.
func (s *sampler) sibling(p *post, covers map[string]cover, at instant) (done []energy.Record) {
	dark := !p.runs && p.lost && p.cover == nobody
	for _, kind := range p.desc.Covers {
		dark = dark && covers[kind] == ours
	}
	switch {
	case dark && !p.dark:
		p.rest(at)
	case p.dark && !dark && !p.runs:
		done = append(done, p.gap(at, unreadable))
	}
	p.dark = dark
	return done
}

// estimate tends a meter of this process, which rests while a counter covers it.
func (s *sampler) estimate(p *post, now cover, at instant, slots []slot) (done []energy.Record) {
	before := p.cover
	p.cover = now
	if !s.sampled && now != theirs && p.desc.ProcessorTime {
		p.begin(s.birth, 0, "") // nobody else has measured what this process has used until here
	}
	switch {
	case now == nobody && p.runs:
		return s.read(p, at, slots)
	case now == nobody && before == theirs:
		p.cover = ended
		return nil
	case now == nobody:
		raw, err := p.src.Read()
		if err != nil {
			if !p.lost {
				s.log("meter %s: %v", p.desc.Meter, err)
			}
			if p.lost = true; p.at == (instant{}) {
				p.rest(at) // a gap from here on
			}
			return nil
		}
		reason := ""
		switch {
		case p.lost:
			reason = unreadable
		case before == ended:
			reason = "the process that read the counter of the host ended"
		}
		p.lost = false
		return p.begin(at, raw, reason)
	case p.runs && now == ours:
		if done = s.read(p, at, slots); p.runs { // until the counter began
			done = append(done, p.stop(at, p.silent(at))...)
		}
	case p.runs:
		done = p.stop(at, "another process began to read a counter of the host")
	case p.lost:
		done = append(done, p.gap(at, unreadable))
	}
	p.lost = false
	p.rest(at)
	return done
}

// absent states at the first look that a device is not metered, so that even a
// process that is killed has said so; the rest follows in the end.
func (s *sampler) absent(p *post, at instant, slots []slot) []energy.Record {
	p.miss(slots)
	if s.sampled {
		return nil
	}
	p.rest(s.birth)
	return p.unmetered(at)
}

// unmetered states that the device was not metered until now.
func (p *post) unmetered(at instant) []energy.Record {
	r := p.gap(at, p.desc.Absent)
	p.waiting = nil
	p.rest(at)
	return []energy.Record{r}
}

// read looks at a running meter. It stands afterwards if that has failed for too
// long.
func (s *sampler) read(p *post, at instant, slots []slot) []energy.Record {
	raw, err := p.src.Read()
	if err == nil {
		done := p.look(at, raw, slots)
		for _, r := range done {
			if r.Gap != nil {
				s.log("meter %s: %s: counting anew", p.desc.Meter, r.Gap.Reason)
			}
		}
		return done
	}
	p.miss(slots)
	if p.silence(at) <= patience*s.interval {
		return nil
	}
	s.log("meter %s: nothing for %s: %v", p.desc.Meter, p.silence(at).Round(time.Millisecond), err)
	p.lost = true
	return p.stop(at, fmt.Sprintf("%s: %v", unreadable, err))
}

// silent is why the time since the last look is not measured, nothing if it is.
func (p *post) silent(at instant) string {
	if p.silence(at) > 0 {
		return unreadable
	}
	return ""
}

// end finishes everything.
func (s *sampler) end(at instant) (done []energy.Record) {
	for _, p := range s.posts() {
		switch {
		case p.runs:
			done = append(done, p.stop(at, p.silent(at))...)
		case p.desc.Absent != "":
			done = append(done, p.unmetered(at)...)
		case p.claim == nil && p.lost, p.dark:
			done = append(done, p.gap(at, unreadable))
		case p.claim == nil && p.cover == ended:
			done = append(done, p.gap(at, "the process that read the counter of the host ended"))
		}
	}
	return done
}

// release gives up the counters of the host.
func (s *sampler) release() {
	for _, p := range s.counters {
		p.claim.release()
	}
}

// open returns the readings that are not finished, for the log.
func (s *sampler) open() (readings []*energy.Reading) {
	for _, p := range s.posts() {
		if p.runs {
			readings = append(readings, p.unfinished())
		}
	}
	return readings
}

// joules returns what all meters have seen so far.
func (s *sampler) joules() (sum float64) {
	for _, p := range s.posts() {
		sum += p.joules
	}
	return sum
}

func (s *sampler) posts() []*post {
	return append(s.counters[:len(s.counters):len(s.counters)], s.estimates...)
}

// spacing returns how long a reading becomes: an interval at first, so that a run
// of seconds shows something, soon thirty, since a ledger of hours need not know
// every second, and twice as long with every 512 records that wait for the service.
func spacing(interval, age time.Duration, backlog int) time.Duration {
	every := min(max(age/2, interval), 30*interval)
	every <<= min(backlog/512, 20)
	return every - interval/2 // a look may come a little early
}
