package meter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// claim is the right to read counters of the host, which one process has at a
// time.
type claim interface {
	// take reports whether this process has the right now, for its run.
	take() bool
	// say tells other processes of which kinds of device the counters are used, and
	// until when they were read.
	say(covers []string, until int64)
	// holder returns who else has it.
	holder() (holder, bool)
	release()
}

// holder is a process that reads counters of the host.
type holder struct {
	Run     string   `json:"run"`
	Process string   `json:"process"`
	Covers  []string `json:"covers,omitempty"`   // kinds of device
	Until   int64    `json:"until_ns,omitempty"` // its last look, on the clock since boot
}

// lastLook is when a holder that was seen at a moment had looked: one that stands
// still measures nothing, and nobody knows whether it will go on.
func (h holder) lastLook(at instant) instant {
	late := at.boot - h.Until
	if h.Until == 0 || late < 0 {
		late = 0
	}
	return instant{boot: at.boot - late, wall: at.wall - late, asleep: at.asleep}
}

// coverage says who measures a kind of device for this process.
type coverage struct {
	by    measurer
	run   string
	until instant // its last look
}

type measurer int

const (
	nobody  measurer = iota
	another          // a process of another run, whose account has it
	sibling          // another process of this run
	ours             // this process, with a counter
)

const (
	ownerEnded   = "the process that read the counter of the host ended"
	notUsed      = "the process that reads the counters of the host does not use this one any more"
	silentSoFar  = "it has not counted yet"
	foreignReads = "counters of the host are read by run %s, whose account has what was drawn"
)

// bank is counters of a host that one process reads for all, with one claim to
// all of them: they overlap, and which of them are used is decided together.
type bank struct {
	claim  claim
	posts  []*post
	tiers  []int
	judge  plausibility
	find   func() []hostCounter // looks for counters that are new; nil where none come
	looks  int
	held   bool
	holder holder // another process, by the last look
	taken  bool   // holder is set
	said   []string

	handover string // why nobody measures from the last look on, until a counter begins
}

// post is a source with its track.
type post struct {
	src Source
	track
	before measurer // of an estimate: who measured for it at the last look
	doubt  string   // why what it said since its last look is not booked; nothing where it did not move
}

var errNotRead = errors.New("only workers read counters of the host")

// findEvery is after how many looks a bank is searched for new counters.
const findEvery = 30

func (b *bank) add(c hostCounter, p *post) {
	b.posts = append(b.posts, p)
	b.tiers = append(b.tiers, c.tier)
	b.judge.watch(zoneFacts{desc: p.desc, parts: c.parts, rests: c.rests})
}

func (b *bank) has(meter string) bool {
	return slices.ContainsFunc(b.posts, func(p *post) bool { return p.desc.Meter == meter })
}

// counters looks at a bank: judges what it says, becomes its owner or gives it up,
// and reads what can be believed.
func (s *sampler) counters(b *bank, at instant, use usage, slots []slot) (done []energy.Record) {
	if s.candidate && b.find != nil {
		if b.looks++; b.looks%findEvery == 0 {
			for _, c := range b.find() {
				if !b.has(c.Describe().Meter) {
					p := s.post(c.Source)
					p.rest(at)
					b.add(c, p)
				}
			}
		}
	}
	o := observation{awake: at.awake(), busy: use.busy, values: make([]value, len(b.posts))}
	readable := false
	for i, p := range b.posts {
		if o.values[i].err = errNotRead; s.candidate {
			raw, err := p.src.Read()
			o.values[i] = value{raw, err}
			readable = readable || err == nil
		}
	}
	verdicts := b.judge.observe(o)
	if b.own(s, at, readable); !b.held {
		until := at
		if b.taken {
			until = b.holder.lastLook(at)
		}
		for _, p := range b.posts {
			done = append(done, p.closeGap(at)...)
			p.restUntil(until)
		}
		return done
	}
	chosen := b.choose(verdicts)
	for i, p := range b.posts {
		done = append(done, s.counter(p, verdicts[i], o.values[i], chosen[i], b.handover, at, use, slots)...)
	}
	covers := b.covers()
	for i := range b.posts {
		done = append(done, b.uncovered(i, covers, verdicts[i].reason, at)...)
	}
	if len(covers) > 0 {
		b.handover = ""
	}
	if !readable && len(covers) == 0 && !slices.ContainsFunc(b.posts, func(p *post) bool { return p.state == measuring }) {
		for _, p := range b.posts {
			done = append(done, p.close(at)...)
		}
		b.release()
		return done
	}
	b.claim.say(covers, at.boot)
	b.said = covers
	return done
}

// own takes the bank if it can be read and is free.
func (b *bank) own(s *sampler, at instant, readable bool) {
	if b.held {
		return
	}
	before, was := b.holder, b.taken
	if !readable || !b.claim.take() {
		b.holder, b.taken = b.claim.holder()
		return
	}
	b.held, b.taken, b.said = true, false, nil
	if was && before.Run == s.run && len(before.Covers) > 0 {
		b.handover = ownerEnded // nobody measured since the last look
		return
	}
	for _, p := range b.posts {
		p.rest(at)
	}
}

func (b *bank) release() {
	b.claim.release()
	b.held = false
}

// choose returns which counters are used: those that are believed, of the first
// tier that has any.
func (b *bank) choose(verdicts []verdict) []bool {
	chosen, best := make([]bool, len(b.posts)), tierNone
	for i, v := range verdicts {
		// One that begins does so at a value that is confirmed.
		chosen[i] = b.tiers[i] < tierNone && v.trust == trusted && (v.outcome == confirmed || b.posts[i].state == measuring)
		if chosen[i] {
			best = min(best, b.tiers[i])
		}
	}
	for i := range chosen {
		chosen[i] = chosen[i] && b.tiers[i] == best
	}
	return chosen
}

// counter tends one counter of a bank that this process owns.
func (s *sampler) counter(p *post, v verdict, got value, chosen bool, handover string, at instant, use usage, slots []slot) (done []energy.Record) {
	if p.state == measuring {
		p.load.Add(use.load())
		if p.doubt = unreadable; v.outcome != unread {
			p.doubt = v.reason
		}
		switch v.outcome {
		case confirmed:
			done = p.look(at, got.raw, slots)
		case refused:
			p.miss(slots)
			done = p.refuse(at, got.raw, v.reason)
		default:
			p.miss(slots)
		}
		for _, r := range done {
			if r.Gap != nil {
				s.log("meter %s: %s: counting starts again from here", p.desc.Meter, r.Gap.Reason)
			}
		}
		switch {
		case v.trust != trusted:
			s.log("meter %s: %s", p.desc.Meter, v.reason)
			done = append(done, p.stop(at, v.reason)...)
		case !chosen: // a better one took over
			done = append(done, p.stop(at, p.silent(at))...)
		}
		return done
	}
	switch {
	case chosen:
		if p.state == missing {
			done = p.close(at)
		}
		done = append(done, p.begin(at, got.raw, handover)...)
	case v.caught && p.state == standby:
		s.log("meter %s: %s", p.desc.Meter, v.reason)
		if at.boot > p.at.boot {
			done = append(done, p.gap(at, v.reason))
		}
		p.rest(at)
	}
	return done
}

// covers returns the kinds of device that this process measures with counters.
func (b *bank) covers() (kinds []string) {
	for _, p := range b.posts {
		if p.state == measuring {
			kinds = append(kinds, p.desc.Covers...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// uncovered sees to a counter that is not used beside others of its kind that are:
// nothing estimates what it would have measured, so that is a gap.
func (b *bank) uncovered(i int, covers []string, reason string, at instant) []energy.Record {
	p := b.posts[i]
	if p.state == measuring || b.tiers[i] == tierNone {
		return nil
	}
	beside := false
	for j, other := range b.posts {
		beside = beside || other.state == measuring && b.tiers[j] == b.tiers[i]
	}
	for _, kind := range p.desc.Covers {
		beside = beside && slices.Contains(covers, kind)
	}
	switch {
	case beside && p.state == missing:
		p.reason = cmp.Or(reason, p.reason)
	case beside:
		if b.handover == "" {
			p.rest(at) // until now it was not missing
		}
		p.missed(cmp.Or(reason, silentSoFar))
	case p.state == missing:
		return p.close(at)
	}
	return nil
}

// coverage adds who measures which kinds of device by this bank.
func (b *bank) coverage(run string, at instant, all map[string]coverage) {
	now := coverage{by: ours, until: at}
	kinds := b.said
	if !b.held {
		kinds = b.holder.Covers
		now = coverage{another, b.holder.Run, b.holder.lastLook(at)}
		if b.holder.Run == run {
			now.by = sibling
		}
		if !b.taken {
			return
		}
	}
	for _, kind := range kinds {
		if now.by > all[kind].by {
			all[kind] = now
		}
	}
}

// foreign is the reason of a gap of what another run measures.
func foreign(run string) string { return fmt.Sprintf(foreignReads, run) }

// silent is why the time since the last look is not measured, nothing if it is.
func (p *post) silent(at instant) string {
	if p.silence(at) > 0 {
		return p.doubt
	}
	return ""
}

// usage is what processes of the host did since the last look.
type usage struct {
	busy int64 // ns of processor time of the whole host since boot
	host int64 // of it since the last look
	own  int64 // of that, this run
	runs map[string]int64
}

func (u usage) load() energy.Load {
	return energy.Load{HostNanos: max(0, u.host), RunNanos: max(0, u.own), Runs: u.runs}
}

// longGap is after how many intervals an open gap is stated though it goes on.
const longGap = 300
