package roster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestPresence plays runs whose steps take longer or shorter with a worker of another
// host, and shows the members in the end.
func TestPresence(t *testing.T) {
	const ms = time.Millisecond
	steps := func(alone, both time.Duration) func(int, int) time.Duration {
		return func(world, _ int) time.Duration { return map[int]time.Duration{0: 0, 1: alone, 2: both}[world] }
	}
	for name, c := range map[string]struct {
		step     func(world, i int) time.Duration // how long step i takes
		host     string                           // of w2
		together bool                             // w2 is there from the beginning
		keep     bool
		min      int
		reducing float64 // share of a step that the ring takes with both
		most     uint64  // generations
		members  string
		warning  string
	}{
		"it helps":               {step: steps(100*ms, 60*ms), host: "b", most: 2, members: "w1 w2"},
		"it makes no difference": {step: steps(100*ms, 100*ms), host: "b", most: 2, members: "w1 w2"},
		"it makes the run slower": {
			step: steps(100*ms, 200*ms), host: "b", most: 3, members: "w1",
			warning: "communication-bound: one worker is faster; with w2 the run makes 4",
		},
		"it makes the run a little slower": {step: steps(100*ms, 120*ms), host: "b", most: 3, members: "w1", warning: "one worker is faster"},
		"it makes the run hopelessly slow": {step: steps(100*ms, 20*time.Second), host: "b", most: 3, members: "w1", warning: "one worker is faster"},
		"the machine is noisy": {
			step: func(world, i int) time.Duration {
				return time.Duration(60+100*(i/3%2)) * ms / time.Duration(max(1, world))
			},
			host: "b", most: 2, members: "w1 w2",
		},
		"one slow stretch": {
			step: func(world, i int) time.Duration {
				if world == 2 && i > 200 && i < 250 {
					return 250 * ms
				}
				return 60 * ms
			}, host: "b", most: 2, members: "w1 w2",
		},
		"it is wanted all the same": {
			step: steps(100*ms, 200*ms), host: "b", keep: true, most: 2, members: "w1 w2",
			warning: "one worker is faster: w1 alone made 10000 tokens/s, all 2 members make 5000",
		},
		"it is needed":                           {step: steps(100*ms, 200*ms), host: "b", min: 2, most: 1, members: "w1 w2"},
		"it is of the same host":                 {step: steps(100*ms, 140*ms), host: "a", most: 2, members: "w1 w2"},
		"it is of the same host and much slower": {step: steps(100*ms, 200*ms), host: "a", most: 2, members: "w1 w2", warning: "one worker is faster: w1 alone"},
		"there from the beginning, and the ring takes most of it": {
			step: steps(100*ms, 300*ms), host: "b", together: true, reducing: 0.8, most: 2, members: "w1", warning: "one worker is faster",
		},
		"there from the beginning, and the other is no faster": {
			step: steps(295*ms, 300*ms), host: "b", together: true, reducing: 0.8, most: 3, members: "w1 w2",
		},
		"there from the beginning, and it helps": {step: steps(100*ms, 60*ms), host: "b", together: true, reducing: 0.3, most: 1, members: "w1 w2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Config{
				SpecHash: "spec", CorpusHash: "corpus", Build: "v1", FailureTimeout: time.Second, Steps: 1 << 30, MicroBatches: 2,
				Workers: runspec.Workers{Min: max(1, c.min), Max: 2}, KeepSlow: c.keep,
			})
			i := 0
			w.paceOf = func(p wire.Plan) time.Duration {
				d := c.step(len(p.Members), i)
				for _, q := range w.order {
					q.beat.Speed = 20 // a step of two micro-batches takes one worker 100 ms
					q.beat.Reducing = 0
					if len(p.Members) > 1 {
						q.beat.Reducing = number.Float(c.reducing * d.Seconds())
					}
					if q.beat.ID == "w2" {
						q.beat.Patience = 4
					}
				}
				return d
			}
			w.seen = func(f Effect) {
				if p, ok := f.(WritePlan); ok && testing.Verbose() {
					t.Logf("%v: plan %d [%s] %s", w.now.Sub(w.start), p.Plan.Generation, members(p.Plan), p.Plan.Reason)
				}
			}
			w.feed(Elected{Nonce: "n"})
			w.up("w1", func(r *wire.Registration) { r.Host = "a" })
			second := func() { w.up("w2", func(r *wire.Registration) { r.Host = c.host }) }
			if c.together || c.min > 1 {
				second()
			}
			back := func(d time.Duration) {
				for end := w.now.Add(d); w.now.Before(end); {
					w.wait(50 * ms)
					i = int(w.procs["w1.1"].beat.Step)
					// A worker that is left out registers again.
					if p := w.find("w2"); p != nil && p.member && w.plan.Rank("w2", p.reg.Incarnation) < 0 {
						w.leave(p)
						second()
					} else if p != nil {
						p.member = w.plan.Rank("w2", p.reg.Incarnation) >= 0
					}
				}
			}
			back(30 * time.Second)
			if !c.together && c.min < 2 {
				second()
			}
			back(3 * time.Minute)
			var ids []string
			for _, m := range w.plan.Members {
				ids = append(ids, m.ID)
			}
			if got := strings.Join(ids, " "); got != c.members {
				t.Errorf("in the end %s train, not %s: %s", got, c.members, w.plan.Reason)
			}
			if w.plan.Generation > c.most {
				t.Errorf("%d generations, not %d at most", w.plan.Generation, c.most)
			}
			all := w.r.Slowdowns()
			if text := fmt.Sprint(all); c.warning == "" && len(all) > 0 || !strings.Contains(text, c.warning) {
				t.Errorf("warnings are %s, not %q", text, c.warning)
			}
		})
	}
}
