package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/transcript"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestTranscripts plays the scenarios of testdata/*.txt. Lines that begin with
// white space are what happens; -update rewrites them.
//
//	config workers=3 least=1 coordinators=2 micro=6 steps=8 save=1s compute=20ms seed=1
//	rot ID                    its state has a flipped bit when it begins
//	until ID STEP             until a worker has applied a step
//	wait DURATION
//	start | crash | vanish | freeze | wake | sigterm | cut | mend ID
//	hang | release ID         what it computes does not return; it goes on
//	deafen | heal ID          nothing that is sent comes to it; it comes, late
//	part ID ID                the way between two mailboxes is cut for good
//	far ID DELAY              is behind a slow link that loses packets from now on
//	slow ID N                 computes N times as long from now on
//	drain ID | scale N | stop        a user asks for it
//	etcd DURATION | nats DURATION   away for that long
//	everything [etcd]         crashes and begins anew, with an empty etcd
//	end                       until the run is over
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// play returns the scenario with what happened.
func play(script string) (string, error) {
	w := &world{record: true, rng: rand.New(rand.NewPCG(1, 1))}
	begun := false
	played, err := transcript.Play(script, func(words []string) (did []string, err error) {
		switch {
		case words[0] == "config":
			err = w.configure(words[1:])
		case words[0] == "rot":
			w.corrupts = words[1]
		default:
			if !begun {
				begun = true
				w.parent.up()
			}
			err = w.command(words[0], words[1:])
		}
		for _, s := range w.said {
			if err != nil || !strings.Contains(s, " applies step ") {
				did = append(did, s)
			}
		}
		w.said = nil
		return did, err
	})
	return played, errors.Join(err, w.failure)
}

func (w *world) configure(words []string) error {
	s := setup{workers: 3, least: 1, coordinators: 1, microBatches: 6, steps: 8, saveEvery: time.Second, compute: 20 * time.Millisecond, ring: runspec.RingAuto}
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		var err error
		switch k {
		case "workers":
			s.workers, err = strconv.Atoi(v)
		case "least":
			s.least, err = strconv.Atoi(v)
		case "coordinators":
			s.coordinators, err = strconv.Atoi(v)
		case "micro":
			s.microBatches, err = strconv.Atoi(v)
		case "steps":
			s.steps, err = strconv.ParseUint(v, 10, 64)
		case "save":
			s.saveEvery, err = time.ParseDuration(v)
		case "compute":
			s.compute, err = time.ParseDuration(v)
		case "seed":
			var seed uint64
			seed, err = strconv.ParseUint(v, 10, 64)
			w.rng = rand.New(rand.NewPCG(seed, 1))
		default:
			err = fmt.Errorf("unknown %q", word)
		}
		if err != nil {
			return err
		}
	}
	return w.build(s)
}

// pass lets time pass until something is so, or patience is at its end.
func (w *world) pass(done func() bool) error {
	for end := w.now + patience; w.failure == nil && !done(); {
		if w.now > end || !w.next() {
			return fmt.Errorf("it does not happen")
		}
	}
	return w.failure
}

func (w *world) command(verb string, args []string) error {
	var p *process
	if len(args) > 0 {
		p = w.process(args[0])
	}
	switch verb {
	case "until":
		step, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return err
		}
		return w.pass(func() bool {
			k, ok := p.role.(*worker)
			return ok && k.State.Step >= step
		})
	case "wait", "etcd", "nats":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		switch verb {
		case "etcd":
			w.store.outage(d)
			return nil
		case "nats":
			w.faults.brokerAway(d)
			return nil
		}
		end := w.now + d
		w.at(end, func() {})
		return w.pass(func() bool { return w.now >= end })
	case "start":
		w.parent.start(p, 0)
	case "crash", "vanish":
		w.parent.crash(p, verb == "vanish")
	case "far":
		var err error
		p.far, err = time.ParseDuration(args[1])
		return err
	case "hang":
		p.hang()
	case "release":
		p.release()
	case "freeze":
		p.freeze()
	case "wake":
		p.wake()
	case "cut", "mend":
		p.cut = verb == "cut"
	case "deafen", "heal":
		p.harmed, p.deaf = true, true
		ways := []*pipe{&p.conn.in}
		for _, o := range w.parent.workers {
			if o != p {
				ways = append(ways, w.line(o, p))
			}
		}
		for _, way := range ways {
			if way.stalled = verb == "deafen"; !way.stalled {
				way.heal()
			}
		}
	case "part":
		o := w.process(args[1])
		w.line(p, o).stalled, w.line(o, p).stalled = true, true
	case "slow":
		n, err := strconv.Atoi(args[1])
		p.slow = n
		return err
	case "sigterm":
		p.role.(*worker).sigterm()
	case "drain":
		w.faults.control(wire.Control{Verb: wire.VerbDrain, Worker: args[0]})
	case "scale":
		n, err := strconv.Atoi(args[0])
		w.faults.control(wire.Control{Verb: wire.VerbScale, Count: n})
		return err
	case "stop":
		w.faults.control(wire.Control{Verb: wire.VerbStop})
	case "everything":
		w.parent.restartAll(len(args) > 0)
	case "end":
		if err := w.pass(w.parent.over); err != nil {
			return err
		}
		w.oracle.end()
		w.say("%d steps of %d micro-batches: %d were computed", w.rule.Steps, w.rule.MicroBatches, w.oracle.total)
		return w.failure
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}
