package roster

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// A randomRun draws what happens to a cluster. The oracle is naive: it knows what was
// done to each process, and so which may not be in a plan any more and which may not
// be missing.
type randomRun struct {
	*world
	t         *testing.T
	rng       *rand.Rand
	dead      map[string]bool  // the parent said so
	suspected map[string]*proc // by generation and incarnation, the one that wrongly suspects it
	written   uint64
	planned   time.Time // the newest plan
	evened    time.Time // the newest for speeds alone
}

func (s *randomRun) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.said[max(0, len(s.said)-60):], "\n"))
}

// check compares a plan with what the oracle knows.
func (s *randomRun) check(f Effect) {
	w, ok := f.(WritePlan)
	if !ok {
		return
	}
	p := w.Plan
	if p.Generation != s.written+1 {
		s.fail("plan %d after plan %d", p.Generation, s.written)
	}
	s.written = p.Generation
	if strings.Contains(p.Reason, " computes ") {
		s.checkShares(p)
	}
	s.planned = s.now
	sum, ids := 0, map[string]bool{}
	for _, m := range p.Members {
		q := s.procs[m.Incarnation]
		switch {
		case s.dead[m.Incarnation]:
			s.fail("plan %d holds %s, which is dead", p.Generation, m.Incarnation)
		case ids[m.ID]:
			s.fail("plan %d holds %s twice", p.Generation, m.ID)
		case m.Mailbox != q.reg.Mailbox:
			s.fail("plan %d: mailbox %q of %s", p.Generation, m.Mailbox, m.Incarnation)
		}
		ids[m.ID] = true
		sum += m.Share
	}
	if len(p.Members) > 0 && (sum != s.cfg.MicroBatches || len(p.Members) < s.cfg.Workers.Min && !s.r.intent.Stop) {
		s.fail("plan %d: %d micro-batches of %d members", p.Generation, sum, len(p.Members))
	}
	var out []string // members without reason
	for _, m := range s.plan.Members {
		if q := s.procs[m.Incarnation]; !q.tainted && p.Rank(m.ID, m.Incarnation) < 0 {
			out = append(out, m.Incarnation)
		}
	}
	if len(out) > 0 && (len(p.Members) > 0 || len(out) >= s.cfg.Workers.Min) {
		s.fail("plan %d leaves %v out, to which nothing happened", p.Generation, out)
	}
}

// seconds is how long a step takes by the speeds that workers measure; ok is false
// if one that computes has not measured yet.
func (s *randomRun) seconds(p wire.Plan) (longest float64, ok bool) {
	for _, m := range p.Members {
		speed := float64(s.procs[m.Incarnation].beat.Speed)
		if speed == 0 && m.Share > 0 {
			return 0, false
		}
		longest = max(longest, float64(m.Share)/speed)
	}
	return longest, true
}

// checkShares looks at a plan that was made for the speeds of its members alone.
func (s *randomRun) checkShares(p wire.Plan) {
	before, ok := s.seconds(s.plan)
	after, _ := s.seconds(p)
	switch {
	case !ok || before <= 1.3*after:
		s.fail("plan %d: steps of %g s become %g s, measured: %v", p.Generation, before, after, ok)
	case s.now.Sub(s.planned) < 5*s.cfg.FailureTimeout || !s.evened.IsZero() && s.now.Sub(s.evened) < 10*s.cfg.FailureTimeout:
		s.fail("plan %d comes too soon: %s", p.Generation, p.Reason)
	}
	for i, m := range p.Members {
		if m.ID != s.plan.Members[i].ID || m.Incarnation != s.plan.Members[i].Incarnation {
			s.fail("plan %d: other members, and nothing but speed as reason: %s", p.Generation, p.Reason)
		}
	}
	s.evened = s.now
}

// even checks that no division of the micro-batches makes steps much shorter than
// that of the plan does, once speeds have been what they are for long.
func (s *randomRun) even() {
	takes, ok := s.seconds(s.plan)
	if !ok {
		return
	}
	best := math.Inf(1)
	var divide func(p wire.Plan, at, left int)
	divide = func(p wire.Plan, at, left int) {
		if at == len(p.Members)-1 {
			p.Members[at].Share = left
			t, _ := s.seconds(p)
			best = min(best, t)
			return
		}
		for share := 1; share < left; share++ {
			p.Members[at].Share = share
			divide(p, at+1, left-share)
		}
	}
	p := s.plan
	p.Members = slices.Clone(p.Members)
	divide(p, 0, s.cfg.MicroBatches)
	if takes > 2*1.3*best { // the division nearest to the speeds takes up to twice as long
		s.fail("steps take %g s, and could take %g s, by plan %d", takes, best, s.plan.Generation)
	}
}

// live lists processes that run, by incarnation.
func (s *randomRun) live() []*proc {
	var all []*proc
	for _, p := range s.order {
		if p.alive {
			all = append(all, p)
		}
	}
	return all
}

// behave is what workers do by themselves: hold when one drains, leave or
// register again when a plan left them out or their registration is gone.
func (s *randomRun) behave() {
	holds := slices.ContainsFunc(s.live(), func(p *proc) bool {
		return p.reg.Draining && s.plan.Rank(p.reg.ID, p.reg.Incarnation) >= 0
	})
	for _, p := range s.live() {
		in := s.plan.Rank(p.reg.ID, p.reg.Incarnation) >= 0
		if !p.reg.Draining && slices.Contains(s.r.intent.Drain, p.reg.Incarnation) {
			p.reg.Draining = true
			s.snapshot()
		}
		switch {
		case !p.registered, p.member && !in, p.reg.Draining && !in:
			p.tainted = true
			s.leave(p)
			if !p.reg.Draining && s.holder(p.reg.ID) == nil {
				s.up(p.reg.ID, nil)
			}
		case in:
			p.member, p.beat.Generation = true, s.plan.Generation
			p.beat.State = wire.WorkerComputing
			if holds { // all members: they decide alike
				p.beat.State = wire.WorkerHolding
			}
		}
	}
}

func (s *randomRun) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.wait(20 * time.Millisecond)
		s.behave()
	}
}

func (s *randomRun) suspect(from, subject *proc) {
	s.say("suspect %s %s", from.reg.Incarnation, subject.reg.Incarnation)
	s.feed(Suspected{wire.Suspicion{
		Generation: s.plan.Generation, From: from.reg.ID, Subject: subject.reg.ID, Incarnation: subject.reg.Incarnation, Evidence: "closed",
	}})
}

func (s *randomRun) happen(frozen map[string]*proc) {
	live := s.live()
	pick := func() *proc { return live[s.rng.IntN(len(live))] }
	if k := s.rng.IntN(10); k < 3 || len(live) == 0 {
		id := fmt.Sprintf("w%d", s.rng.IntN(6))
		if s.holder(id) == nil {
			s.say("up %s", id)
			p := s.up(id, nil)
			p.beat.Speed = number.Float(s.rng.IntN(4)) // 0: not measured yet
		}
		return
	}
	p := pick()
	switch s.rng.IntN(10) {
	case 0, 1: // killed; neighbours, the connection and the parent tell of it, or not
		p.tainted = true
		s.say("kill %s", p.reg.Incarnation)
		s.kill(p)
		for _, o := range s.live() {
			if s.rng.IntN(3) == 0 {
				s.suspect(o, p)
			}
		}
		if s.rng.IntN(3) == 0 {
			s.feed(ConnectionGone{p.reg.ID, p.reg.Incarnation})
		}
		if s.rng.IntN(2) == 0 {
			s.say("ended %s", p.reg.Incarnation)
			s.dead[p.reg.Incarnation] = true
			s.feed(Suspected{wire.Suspicion{Subject: p.reg.ID, PID: p.reg.PID, Evidence: "ended", Final: true}})
		}
	case 2:
		p.tainted, p.alive, p.expires = true, false, s.now.Add(time.Hour)
		frozen[p.reg.Incarnation] = p
		s.say("freeze %s", p.reg.Incarnation)
	case 3: // a false suspicion: one alone harms nobody, two in one generation do
		if o := pick(); o != p {
			key := fmt.Sprintf("%d/%s", s.plan.Generation, p.reg.Incarnation)
			if other := s.suspected[key]; other != nil && other != o {
				p.tainted = true
			}
			s.suspected[key] = o
			s.suspect(o, p)
			s.pass(s.cfg.FailureTimeout / 2)
		}
	case 4:
		if s.rng.IntN(2) == 0 {
			p.tainted = true
			s.feed(Requested{wire.Control{Verb: wire.VerbDrain, Worker: p.reg.ID}, 1})
			return
		}
		s.feed(Requested{wire.Control{Verb: wire.VerbScale, Count: s.cfg.Workers.Min + s.rng.IntN(s.cfg.Workers.Max-s.cfg.Workers.Min+1)}, 1})
		for _, p := range live {
			p.tainted = p.tainted || slices.Contains(s.r.intent.Drain, p.reg.Incarnation)
		}
	case 5:
		s.say("the store lags")
		s.lag = true
	case 6:
		for _, in := range slices.Sorted(maps.Keys(frozen)) {
			frozen[in].alive = true
			delete(frozen, in)
			s.say("thaw %s", in)
		}
		s.heal()
	case 7: // a busy machine, or one that is not any more
		p.beat.Speed = number.Float(0.5 + 4*s.rng.Float64())
		s.say("%s computes at %.2f", p.reg.Incarnation, p.beat.Speed)
	case 8:
		s.say("connected to NATS again")
		s.feed(Reconnected{})
	case 9:
		p.tainted, p.beat.Deaf = true, true
		s.say("%s receives nothing", p.reg.Incarnation)
	}
}

// heal lets all workers receive messages again.
func (s *randomRun) heal() {
	for _, p := range s.order {
		p.beat.Deaf = false
	}
}

func (s *randomRun) answerStore() {
	s.lag = false
	held := s.held
	s.held = nil
	for _, e := range held {
		s.feed(e)
	}
}

func TestRandomFaultsKeepPlansRight(t *testing.T) {
	evened := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{
			Workers: runspec.Workers{Min: 1 + rng.IntN(2), Max: 4}, MicroBatches: 6, Steps: 100,
			SpecHash: "s", FailureTimeout: time.Second,
		}
		s := &randomRun{world: newWorld(cfg), t: t, rng: rng, dead: map[string]bool{}, suspected: map[string]*proc{}}
		s.seen, s.pace, s.nextS = s.check, 100*time.Millisecond, s.now
		s.say("seed %d", seed)
		s.feed(Elected{Nonce: "n"})
		s.snapshot()
		frozen := map[string]*proc{}
		for range 40 {
			s.happen(frozen)
			s.pass(time.Duration(rng.IntN(800)) * time.Millisecond)
			if rng.IntN(2) == 0 {
				s.answerStore()
			}
			if s.r.intent.Stop { // the last one was to leave
				break
			}
		}
		s.answerStore()
		s.heal()
		for _, p := range frozen {
			p.alive = true
		}
		for _, p := range s.live() {
			p.beat.Speed = number.Float(0.5 + 4*rng.Float64())
		}
		s.pass(25 * time.Second)
		if s.r.intent.Stop {
			continue
		}
		var want []string
		for _, p := range s.live() {
			if !p.registered || p.reg.Draining {
				s.fail("%s is left hanging", p.reg.Incarnation)
			}
			want = append(want, p.reg.Incarnation)
		}
		if most := s.r.intent.Workers; most > 0 && len(want) > most {
			s.fail("calm again, %v live, and %d are wanted", want, most)
		}
		var got []string
		for _, m := range s.plan.Members {
			got = append(got, m.Incarnation)
		}
		slices.Sort(got)
		if state, _ := s.r.State(); len(want) >= cfg.Workers.Min && (!slices.Equal(got, want) || state != wire.StateTraining) {
			s.fail("calm again, %v live, plan %d holds %v, state %s", want, s.plan.Generation, got, state)
		} else if state == wire.StateTraining {
			s.even()
		}
		if !s.evened.IsZero() {
			evened++
		}
	}
	if evened < 200 {
		t.Errorf("shares follow the speeds in %d of 2000 storms", evened)
	}
}
