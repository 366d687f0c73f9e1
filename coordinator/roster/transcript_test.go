package roster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/transcript"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestTranscripts plays the commands of testdata/*.txt. Lines that begin with
// white space are what the roster does; -update rewrites them.
//
//	config workers=1:3 steps=100 micro=8 mixed ring=auto timeout=1s    first
//	elect [GENERATION IN…]                 a leadership begins, with a stored plan
//	up ID [print=P] [build=B] [corpus=C] [step=N] [speed=F] [origin=P|mixed:P] [ring=broker]
//	kill ID | leave ID | freeze ID | thaw ID
//	deafen ID | heal ID                    its heartbeats say that it receives nothing; it receives again
//	beat ID STATE STEP                     what its heartbeats say from now on
//	speed ID F                             what it measures from now on
//	pace DURATION                          from now on members that compute apply a step every so often
//	show                                   how the workers are said to be
//	lapse ID | renew ID                    its registration ends; it writes it again
//	detour ID                              its registration says that it does not reach every other
//	sigterm ID                             its registration says that it leaves
//	suspect FROM ID|- [generation=N] EVIDENCE… | ended ID EVIDENCE… | cut ID
//	hangs ID EVIDENCE…                     it says so itself, and sends on
//	ask stop|drain ID|scale N
//	reconnected                            the coordinator was cut off, and is not any more
//	committed STEP
//	lag | answer                           the store is slow; it answers
//	wait DURATION
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// play returns the script with what the roster did.
func play(script string) (string, error) {
	var w *world
	return transcript.PlayMachine(script, func(settings []string) error {
		cfg, err := parseConfig(settings)
		if err != nil {
			return err
		}
		w = newWorld(cfg)
		return nil
	}, func(words []string) ([]string, error) {
		w.said = nil
		err := w.command(words[0], words[1:])
		return w.said, err
	})
}

func parseConfig(words []string) (Config, error) {
	cfg := Config{SpecHash: "spec", CorpusHash: "corpus", Build: "v1", FailureTimeout: time.Second, Steps: 100, MicroBatches: 8}
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		var err error
		switch k {
		case "workers":
			cfg.Workers, err = runspec.ParseWorkers(v)
		case "steps":
			cfg.Steps, err = strconv.ParseUint(v, 10, 64)
		case "micro":
			cfg.MicroBatches, err = strconv.Atoi(v)
		case "ring":
			cfg.Ring = v
		case "timeout":
			cfg.FailureTimeout, err = time.ParseDuration(v)
		case "mixed":
			cfg.AllowMixed = true
		default:
			err = fmt.Errorf("unknown %q", word)
		}
		if err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

func (w *world) command(verb string, args []string) error {
	var p *proc
	if len(args) > 0 {
		p = w.find(args[0])
	}
	switch verb {
	case "kill", "leave", "freeze", "thaw", "deafen", "heal", "detour", "beat", "speed", "sigterm", "ended", "cut", "lapse", "renew":
		if p == nil {
			return fmt.Errorf("no such worker")
		}
	}
	switch verb {
	case "elect":
		if len(args) > 0 {
			g, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return err
			}
			w.plan = wire.Plan{Generation: g, MicroBatches: w.cfg.MicroBatches, Fingerprint: "f", Session: "old-1"}
			for _, in := range args[1:] {
				id, _, _ := strings.Cut(in, ".")
				w.plan.Members = append(w.plan.Members, wire.Member{ID: id, Incarnation: in})
			}
		}
		w.feed(Elected{Plan: w.plan, Nonce: "n"})
		w.snapshot()
	case "up":
		w.up(args[0], func(r *wire.Registration) {
			for _, a := range args[1:] {
				switch k, v, _ := strings.Cut(a, "="); k {
				case "print":
					r.Fingerprint = v
				case "build":
					r.Build = v
				case "corpus":
					r.CorpusHash = v
				case "ring":
					r.Ring = v
				case "step":
					r.Step, _ = strconv.ParseUint(v, 10, 64)
				case "origin":
					r.Origin.Fingerprint, r.Origin.Mixed = strings.CutPrefix(v, "mixed:")
				case "speed":
					speed, _ := strconv.ParseFloat(v, 64)
					r.Speed = number.Float(speed)
				}
			}
		})
	case "kill":
		w.kill(p)
	case "leave":
		w.leave(p)
	case "freeze":
		p.alive, p.expires = false, w.now.Add(time.Hour) // a test may thaw it sooner
	case "deafen", "heal":
		p.beat.Deaf = verb == "deafen"
	case "thaw":
		p.alive = true
		w.feed(Beat{p.beat})
	case "beat":
		step, err := strconv.ParseUint(args[2], 10, 64)
		if err != nil {
			return err
		}
		p.beat.State, p.beat.Step = wire.ProcessState(strings.ReplaceAll(args[1], "_", " ")), step
		w.feed(Beat{p.beat})
	case "speed":
		speed, err := strconv.ParseFloat(args[1], 64)
		if err != nil {
			return err
		}
		p.beat.Speed = number.Float(speed)
	case "pace":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		w.pace, w.nextS = d, w.now.Add(d)
	case "show":
		for _, v := range w.r.Workers() {
			slow := ""
			if v.Slow > 0 {
				slow = fmt.Sprintf(", slow: %.2g", v.Slow)
			}
			if v.Waits != "" {
				slow += ", " + string(v.State) + ": " + v.Waits
			}
			w.say("%s: %d%s", v.Registration.ID, v.Share, slow)
		}
	case "detour":
		p.reg.Ring = wire.RingBroker
		w.snapshot()
	case "sigterm":
		p.reg.Draining = true
		w.snapshot()
	case "lapse", "renew":
		p.registered = verb == "renew"
		w.snapshot()
	case "suspect":
		s := wire.Suspicion{Generation: w.plan.Generation, From: args[0]}
		if g, ok := strings.CutPrefix(args[2], "generation="); ok {
			s.Generation, _ = strconv.ParseUint(g, 10, 64)
			args = slices.Delete(args, 2, 3)
		}
		s.Evidence = wire.Evidence(strings.Join(args[2:], " "))
		if q := w.find(args[1]); q != nil {
			s.Subject, s.Incarnation = q.reg.ID, q.reg.Incarnation
		}
		w.feed(Suspected{s})
	case "ended":
		w.feed(Suspected{wire.Suspicion{From: wire.IDUp, Subject: p.reg.ID, PID: p.reg.PID, Evidence: wire.Evidence(strings.Join(args[1:], " ")), Final: true}})
	case "hangs":
		w.feed(Suspected{wire.Suspicion{
			Generation: w.plan.Generation, From: p.reg.ID, Subject: p.reg.ID, Incarnation: p.reg.Incarnation,
			Evidence: wire.Evidence(strings.Join(args[1:], " ")), Final: true, Hung: true,
		}})
	case "cut":
		w.feed(ConnectionGone{p.reg.ID, p.reg.Incarnation})
	case "ask":
		c := wire.Control{Verb: wire.Verb(args[0])}
		switch c.Verb {
		case wire.VerbDrain:
			c.Worker = args[1]
		case wire.VerbScale:
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			c.Count = n
		}
		w.asks++
		w.feed(Requested{c, w.asks})
	case "reconnected":
		w.feed(Reconnected{})
	case "committed":
		step, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return err
		}
		w.feed(Committed{step})
	case "lag":
		w.lag = true
	case "answer":
		w.lag = false
		held := w.held
		w.held = nil
		for _, e := range held {
			w.feed(e)
		}
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		w.wait(d)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}
