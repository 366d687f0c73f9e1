package supervisor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/transcript"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestTranscripts plays the commands of testdata/*.txt. Lines that begin with
// white space are what the supervisor does, but for its looks at the status and for what
// it repeats at each; -update rewrites them.
//
//	config workers=2 min=1 steps=10 [shared] [lastcall]    first
//	begin
//	status none | status STATE STEP [stored=N] [pace=SECONDS] what a coordinator answers from now on
//	worker ID STATE [RANK] | worker ID unknown            how the status shows a worker from now on
//	succeed ID | killed ID | crash ID WORDS… | report ID CODE WORDS…    its process ends
//	oom N                    the kernel has killed so many more for want of memory
//	memory MEGABYTES         that the container may have
//	busy ID | frozen ID      how its process is from now on
//	broken ID WORDS… | mended ID     it cannot be started; it can
//	refuse WORDS… | accept   what the coordinator answers to a stop
//	scale N COUNT            the Nth scale
//	stop | interrupt         what the user asks for: an end in order, or at once
//	services full|WORDS…     etcd or NATS fail
//	done [stored] [WORDS…]   the job has ended, with an error
//	wait DURATION
func TestTranscripts(t *testing.T) { transcript.Test(t, play) }

// play returns the script with what the supervisor did.
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
	cfg := Config{Workers: 1, Min: 1, Steps: 10}
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		var err error
		switch k {
		case "workers":
			cfg.Workers, err = strconv.Atoi(v)
		case "min":
			cfg.Min, err = strconv.Atoi(v)
		case "steps":
			cfg.Steps, err = strconv.ParseUint(v, 10, 64)
		case "shared":
			cfg.Shared = true
		case "lastcall":
			cfg.LastCall = true
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
	text := func(from int) string { return strings.Join(args[min(from, len(args)):], " ") }
	switch verb {
	case "begin":
		w.feed(Begin{w.limits})
	case "status":
		return w.setStatus(args)
	case "worker":
		m := member{state: wire.ProcessState(strings.ReplaceAll(args[1], "_", " ")), rank: -1}
		if len(args) > 2 {
			rank, err := strconv.Atoi(args[2])
			if err != nil {
				return err
			}
			m.rank = rank
		}
		if w.members[args[0]] = m; m.state == "unknown" {
			delete(w.members, args[0])
		}
	case "succeed":
		return w.ended(args[0], exit.Ending{})
	case "killed":
		return w.ended(args[0], exit.Ending{Manner: exit.Killed, Words: "SIGKILL: killed", Peak: 50e6})
	case "crash":
		return w.ended(args[0], exit.Ending{Manner: exit.Crashed, Words: text(1)})
	case "report":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return w.ended(args[0], exit.Ending{Manner: exit.Reported, Words: text(2), Report: exit.Report{Code: code, Error: text(2)}})
	case "oom":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		w.limits.OOMKills += uint64(n)
	case "memory":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		w.limits.Memory = &cgroup.Limit{Max: int64(n) * 1e6}
	case "busy":
		v := w.vitals[args[0]]
		v.Faults += 1 << 40
		w.vitals[args[0]] = v
	case "frozen":
		w.vitals[args[0]] = Vitals{State: 'T'}
	case "broken":
		w.broken[args[0]] = errors.New(text(1))
	case "mended":
		delete(w.broken, args[0])
	case "refuse":
		w.refusal = errors.New(text(0))
	case "accept":
		w.refusal = nil
	case "scale":
		n, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return err
		}
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		w.feed(Wanted{wire.Intent{Scales: n, Workers: count}})
	case "stop":
		w.feed(StopAsked{})
	case "interrupt":
		w.feed(KillAsked{})
	case "services":
		err := errors.New(text(0))
		if args[0] == "full" {
			err = fmt.Errorf("etcd: %w", syscall.ENOSPC)
		}
		w.feed(ServicesFailed{err})
	case "done":
		e := Done{Job: w.job}
		if e.Stored = len(args) > 0 && args[0] == "stored"; e.Stored {
			args = args[1:]
		}
		if e.Job == LastStatus {
			e.Status = w.answer()
		}
		if len(args) > 0 {
			e.Err = errors.New(text(0))
		}
		w.job = ""
		w.feed(e)
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		w.wait(d)
	default:
		return errors.New("unknown command")
	}
	return nil
}

func (w *world) setStatus(args []string) error {
	if w.status = nil; args[0] == "none" {
		return nil
	}
	step, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	s := wire.Status{State: wire.RunState(args[0]), Step: step}
	for _, a := range args[2:] {
		switch k, v, _ := strings.Cut(a, "="); k {
		case "stored":
			if s.Checkpoint, err = strconv.ParseUint(v, 10, 64); err != nil {
				return err
			}
		case "pace":
			seconds, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return err
			}
			s.StepSeconds = number.Known(seconds)
		default:
			return fmt.Errorf("unknown %q", a)
		}
	}
	w.status = &s
	return nil
}
