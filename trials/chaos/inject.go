package chaos

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
	"github.com/gramme-project/gramme/trials/chaos/partition"
	"github.com/gramme-project/gramme/trials/chaos/thread"
)

// choose finds what a fault hits among those that are there.
func (f Fault) choose(s Seen) (target, error) {
	t := target{before: s, up: s.Up}
	switch {
	case f.Kind.is(worker):
		if len(s.Members) == 0 {
			return t, errors.New("no worker trains")
		}
		m := s.Members[f.Pick%uint64(len(s.Members))]
		t.id, t.pid, t.share = m.ID, m.PID, m.Share
	case f.Kind == KillCoordinator, f.Kind == CrashCoordinator:
		t.id, t.pid = wire.IDCoordinator, s.Service[wire.RoleCoordinator]
	case f.Kind == KillCheckpoint, f.Kind == CrashCheckpoint:
		t.id, t.pid = wire.IDCheckpoint, s.Service[wire.RoleCheckpoint]
	case f.Kind.serves() != "":
		t.id = f.Kind.serves()
		return t, nil
	default:
		t.id = wire.IDUp
		return t, nil
	}
	if t.pid == 0 {
		return t, fmt.Errorf("no %s is known", t.id)
	}
	return t, nil
}

// inject does a fault. It returns what it hit and for how long that was frozen.
func (t *trial) inject(ctx context.Context, f Fault, to int, s Seen) (hit target, hold time.Duration, err error) {
	if hit, err = f.choose(s); err != nil {
		return hit, 0, err
	}
	hit.at = time.Now()
	switch f.Kind {
	case KillWorker, KillCoordinator, KillCheckpoint, CrashWorker, CrashCoordinator, CrashCheckpoint:
		name, by := f.signal()
		if f.Kind.is(crash) {
			hit.by = name
		}
		err = signal(hit.pid, by)
	case FreezeShort, FreezeLong:
		hold = time.Duration(f.Hold * float64(t.spec.FailureTimeout))
		if err = signal(hit.pid, syscall.SIGSTOP); err == nil {
			waiting.Pause(ctx, hold)
			err = signal(hit.pid, syscall.SIGCONT)
		}
		hold = time.Since(hit.at)
	case CutShort, CutLong, CutOneWay:
		hold, err = t.cut(ctx, f, &hit)
	case KillEtcd, KillNATS, EtcdAway, NATSAway:
		members := t.services.Members(f.Kind.serves())
		if f.Kind == KillEtcd || f.Kind == KillNATS {
			members = members[f.Pick%uint64(len(members)):][:1]
			hit.id = members[0].Name
		}
		err = cluster.Away(ctx, members, time.Duration(f.Hold*float64(t.spec.FailureTimeout)))
		hold = time.Since(hit.at)
	case Hang:
		err = t.hang(ctx, hit.pid)
	case Drain:
		err = t.ask(ctx, wire.Control{Verb: wire.VerbDrain, Worker: hit.id, Reason: "chaos"})
	case ScaleDown, ScaleUp:
		hit.id = fmt.Sprintf("to %d", to)
		err = t.ask(ctx, wire.Control{Verb: wire.VerbScale, Count: to, Reason: "chaos"})
	case KillUp, KillAll, Interrupt:
		if f.Kind == Interrupt {
			err = t.cluster.interrupt(ctx, t.Plan.Patience)
		} else {
			err = t.cluster.kill(f.Kind == KillAll)
		}
		if err == nil {
			hit.up, t.wanted = t.watch.started(), t.Plan.Workers.Max
			err = t.cluster.start()
		}
	}
	return hit, hold, err
}

// computes is how a worker's thread is called that computes.
const computes = "compute"

// hang stops what a worker computes until its process or the trial ends.
func (t *trial) hang(ctx context.Context, pid int) error {
	held, err := thread.Hold(ctx, pid, computes, t.Plan.Patience)
	if err == nil {
		t.held.Go(func() { <-held.Done() })
	}
	return err
}

// cut cuts the network of a worker for a while.
func (t *trial) cut(ctx context.Context, f Fault, hit *target) (time.Duration, error) {
	mailbox, err := t.watch.mailbox(ctx, hit.id)
	if err != nil {
		return 0, err
	}
	c := partition.Cut{PID: hit.pid, Address: mailbox, To: true, From: true}
	if f.Kind == CutOneWay {
		c.To = f.Pick>>32&1 == 0
		c.From = !c.To
		hit.way = map[bool]string{true: "to", false: "from"}[c.To]
	}
	hit.at = time.Now()
	heal := t.proxy.Cut(c)
	waiting.Pause(ctx, time.Duration(f.Hold*float64(t.spec.FailureTimeout)))
	heal()
	return time.Since(hit.at), nil
}

// refusedFor is how long the coordinator may refuse a request.
const refusedFor = 2 * time.Second

// ask sends a request to the coordinator, as `gramme scale` and `gramme drain` do.
func (t *trial) ask(ctx context.Context, c wire.Control) error {
	ctx, cancel := context.WithTimeout(ctx, t.Plan.Patience)
	defer cancel()
	e, err := endpoint.ReadFile(t.dir.Endpoint())
	if err != nil {
		return fmt.Errorf("%s: %w", c.Verb, err)
	}
	conn, err := e.DialBus(ctx, string(c.Verb))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Verb, err)
	}
	defer conn.Close()
	began := time.Now()
	err = waiting.Retry(ctx, waiting.Every(10*pollEvery), func(ctx context.Context) (bool, error) {
		within, cancel := context.WithTimeout(ctx, 4*answerWithin)
		defer cancel()
		err := bus.Deliver(within, conn, wire.SubjectsOf(e.Run).Control(), c)
		// A coordinator may be taking over, and then knows nobody yet.
		refused := (*bus.RefusedError)(nil)
		return err == nil || errors.As(err, &refused) && time.Since(began) > refusedFor, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Verb, err)
	}
	return nil
}
