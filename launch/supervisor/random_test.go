package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestRestartsAgreeWithNaiveOnes draws the lives of a process. The oracle keeps all of
// them, and counts again from the first at each end.
func TestRestartsAgreeWithNaiveOnes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		var r restarts
		var lives []life
		steps := uint64(0)
		for range 1 + rng.IntN(40) {
			steps += uint64(rng.IntN(8) / 7)
			l := life{
				manner: exit.Manner(rng.IntN(4)), code: rng.IntN(6), scarce: rng.IntN(4) == 0, useful: rng.IntN(12) == 0, steps: steps,
				lasted: []time.Duration{time.Second, time.Minute, time.Hour}[max(0, rng.IntN(20)-17)],
			}
			lives = append(lives, l)
			wait, v := r.after(l)
			wantWait, want := naive(lives)
			if wait != wantWait || v != want {
				t.Fatalf("after %+v: %s and %d, not %s and %d", lives, wait, v, wantWait, want)
			}
			if v != restart {
				break
			}
		}
	}
}

// naive says what follows on the last of some lives.
func naive(lives []life) (time.Duration, verdict) {
	last := lives[len(lives)-1]
	useless, scarce, vain, kills := 0, 0, 0, 0
	for i, l := range lives {
		plainKill := l.manner == exit.Killed && !l.scarce
		if l.useful || l.lasted > 30*time.Second {
			useless = 0
		}
		if l.useful {
			scarce = 0
		}
		if l.useful || l.lasted > 10*time.Minute || (i == 0 && l.steps > 0) || (i > 0 && l.steps > lives[i-1].steps) {
			vain, kills = 0, 0
		}
		if plainKill {
			kills++
			continue
		}
		useless, vain = useless+1, vain+1
		if l.scarce {
			scarce++
		}
	}
	double := func(pause time.Duration, times int, most time.Duration) time.Duration {
		for range times {
			if pause *= 2; pause > most {
				return most
			}
		}
		return pause
	}
	reported := last.manner == exit.Reported
	switch {
	case last.manner == exit.Killed && !last.scarce && kills >= 30:
		return 0, giveUp
	case last.manner == exit.Killed && !last.scarce:
		return double(100*time.Millisecond, kills-1, time.Second), restart
	case last.scarce && (reported && scarce >= 3 || scarce >= 6):
		return 0, noRoom
	case last.scarce && !reported:
		return double(time.Second, useless-1, 16*time.Second), restart
	case last.scarce:
		return double(100*time.Millisecond, useless-1, time.Minute), restart
	case reported && slices.Contains([]int{exit.Usage, exit.Data, exit.Verify}, last.code), vain >= 8:
		return 0, giveUp
	}
	return double(100*time.Millisecond, useless-1, time.Minute), restart
}

// A randomRun draws what happens to a run. The oracle is naive: it knows what was done
// to each process, and so which may not be started, and how long the run may last.
type randomRun struct {
	*world
	t        *testing.T
	rng      *rand.Rand
	draws    *rand.Rand
	deaf     map[string]bool // does not end when it is asked to
	leaves   []string        // are about to end, as they were told to
	killed   []string
	asks     uint64    // for a number of workers
	asked    time.Time // for a stop; zero: not
	wanted   int
	closing  bool // services end: no worker may be started
	stopped  bool // the coordinator has accepted a stop
	signaled bool
}

func (s *randomRun) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.said[max(0, len(s.said)-60):], "\n"))
}

// check compares an effect with what the oracle knows.
func (s *randomRun) check(f Effect) {
	switch f := f.(type) {
	case Start:
		switch {
		case s.over:
			s.fail("%s is started after the end", f.ID)
		case s.procs[f.ID] != 0:
			s.fail("%s is started twice", f.ID)
		case f.Role == wire.RoleWorker && (s.closing || s.signaled):
			s.fail("%s is started, and the workers have left", f.ID)
		}
	case Terminate:
		if s.procs[f.ID] == 0 {
			s.fail("%s is asked to end, and does not run", f.ID)
		}
		if strings.HasPrefix(f.ID, "w") {
			s.signaled = true
		}
		if !s.deaf[f.ID] {
			s.leaves = append(s.leaves, f.ID)
		}
	case Kill:
		if s.procs[f.ID] == 0 {
			s.fail("%s is killed, and does not run", f.ID)
		}
		s.killed = append(s.killed, f.ID)
	case AskStop:
		s.stopped = s.stopped || s.refusal == nil && s.procs[wire.IDCoordinator] != 0 && s.status.State != wire.StateStopping
	case Suspect:
		if s.procs[f.Suspicion.Subject] != 0 {
			s.fail("%s is suspected, and runs", f.Suspicion.Subject)
		}
	case Do:
		if s.job != "" {
			s.fail("two jobs at a time: %s and %s", s.job, f.Job)
		}
		if s.closing = true; f.Job == LastCall && !s.asked.IsZero() {
			s.fail("a last call after a stop")
		}
		for id := range s.procs {
			if strings.HasPrefix(id, "w") {
				s.fail("%s runs, and the run goes to its end", id)
			}
		}
	case End:
		if f.Err == nil && len(s.running()) > 0 {
			s.fail("it ends well, and %v run", s.running())
		}
	}
}

// proceed lets processes and the shell do what they were asked to.
func (s *randomRun) proceed() {
	if !s.over && s.rng.IntN(4) == 0 {
		return // it takes a while
	}
	for _, id := range s.killed {
		_ = s.ended(id, exit.Ending{Manner: exit.Killed}) // it may have ended already
	}
	for _, id := range s.leaves {
		_ = s.ended(id, exit.Ending{})
	}
	s.killed, s.leaves = nil, nil
	if s.job != "" && s.draws.IntN(3) > 0 {
		e := Done{Job: s.job, Stored: s.status != nil && s.status.Checkpoint >= s.cfg.Steps}
		s.job = ""
		s.feed(e)
	}
	if s.stopped && !s.closing && s.status != nil { // the workers vote, store, and end
		for _, id := range s.running() {
			if strings.HasPrefix(id, "w") && !s.deaf[id] {
				_ = s.ended(id, exit.Ending{})
			}
		}
	}
}

// disturb lets one thing happen.
func (s *randomRun) disturb() {
	all := s.running()
	id := "none"
	if len(all) > 0 {
		id = all[s.rng.IntN(len(all))]
	}
	switch s.rng.IntN(16) {
	case 0, 1, 2:
		_ = s.ended(id, exit.Ending{Manner: exit.Killed})
	case 3, 4:
		_ = s.ended(id, exit.Ending{Manner: exit.Crashed, Words: "panic: by chance"})
	case 5:
		s.limits.OOMKills++
		_ = s.ended(id, exit.Ending{Manner: exit.Killed})
	case 6:
		_ = s.ended(id, exit.Ending{Manner: exit.Reported, Words: "no space left on device", Report: exit.Report{Code: exit.Resource}})
	case 7:
		s.deaf[id] = s.rng.IntN(4) == 0
	case 8:
		s.broken[id] = errors.New("start " + id + ": not now")
	case 9, 10:
		clear(s.broken)
	case 11:
		s.wanted = 1 + s.rng.IntN(4)
		s.asks++
		s.feed(Wanted{wire.Intent{Scales: s.asks, Workers: s.wanted}})
	case 12:
		if s.status.State == wire.StateStopping || s.status.State == wire.StateDone {
			return
		}
		s.status.State = []wire.RunState{wire.StateTraining, wire.StateWaiting, wire.StatePreparing}[s.rng.IntN(3)]
	case 13:
		s.refusal = nil
		if s.rng.IntN(2) == 0 {
			s.refusal = errors.New("ask again")
		}
	default:
		s.status.Step++
	}
}

// TestRandomRuns plays runs with all kinds of trouble, and then asks for their end: it
// comes within a bound, whatever the processes do.
func TestRandomRuns(t *testing.T) {
	for seed := range uint64(200) {
		s := &randomRun{t: t, rng: rand.New(rand.NewPCG(seed, 0)), draws: rand.New(rand.NewPCG(seed, 1)), deaf: map[string]bool{}}
		s.wanted = 1 + s.rng.IntN(4)
		s.world = newWorld(Config{Workers: s.wanted, Min: 1, Steps: 100, Shared: s.rng.IntN(4) == 0, LastCall: s.rng.IntN(2) == 0})
		s.see = s.check
		s.status = &wire.Status{State: wire.StateTraining}
		for i := range 8 {
			s.members[fmt.Sprintf("w%d", i+1)] = member{wire.WorkerComputing, i}
		}
		s.say("seed %d", seed)
		s.feed(Begin{})
		for range s.rng.IntN(60) {
			s.wait(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
			if s.proceed(); s.over {
				break
			}
			s.disturb()
		}
		s.calm()
		s.finish()
	}
}

// calm lets a run alone for a while: it has as many workers as were wanted, unless it is
// about to end.
func (s *randomRun) calm() {
	if s.over || s.closing {
		return
	}
	clear(s.broken)
	for range 200 {
		s.status.Step++
		s.wait(time.Second)
		s.proceed()
	}
	if s.over || s.closing || s.s.cause != nil {
		return
	}
	if n := len(s.running()) - 2; n != s.wanted && s.s.pressure.left == 0 && n < s.wanted {
		s.fail("%d workers run, and %d are wanted", n, s.wanted)
	}
}

// finish asks for an end, while processes still die for a while: at once, after a failure
// of the services, at the end of the run, or in order.
func (s *randomRun) finish() {
	how := s.rng.IntN(5)
	s.say("it ends: %d", how)
	if s.rng.IntN(4) == 0 {
		for id := range s.members {
			s.deaf[id] = true
		}
	}
	began := s.now
	for first := true; !s.over; first = false {
		switch {
		case !first:
		case how == 0:
			if s.feed(KillAsked{}); !s.over || !errors.Is(s.err, ErrKilled) {
				s.fail("it was to end at once: %v", s.err)
			}
		case how == 1:
			if s.rng.IntN(3) == 0 { // the last checkpoint is being stored for ever
				s.status.State = wire.StateStopping
				for id := range s.members {
					s.members[id], s.deaf[id] = member{wire.WorkerStopped, s.members[id].rank}, true
				}
			}
			s.feed(ServicesFailed{errors.New("etcd is gone")})
		default:
			if how != 4 {
				s.status = &wire.Status{State: wire.StateDone, Step: 100, Checkpoint: 100}
			}
			if s.stopped = how == 2; !s.stopped {
				s.asked = s.now
				s.feed(StopAsked{})
			}
		}
		s.wait(500 * time.Millisecond)
		if s.proceed(); s.now.Sub(began) > 20*time.Minute {
			s.fail("it does not end")
		}
		if !s.over && s.now.Sub(began) < 20*time.Second && s.rng.IntN(6) == 0 {
			step := s.status.Step
			s.disturb()
			s.status.Step = step
		}
	}
}
