package launch

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// answerWithin bounds how long the end of a service waits for one that was
	// started again a moment ago to do what the one before left.
	answerWithin = 10 * time.Second
	// endWithin bounds the end of a service that was asked to: a slow disk may
	// have much to write.
	endWithin = 2 * time.Minute
	// nowWithin bounds the wait for the last status, which is for people.
	nowWithin = 5 * time.Second
)

// conclude does what follows on the last step, while the services still run.
func (c *cluster) conclude(ctx context.Context, coordinator *child) (last, err error) {
	var now wire.Status
	heard := false
	err = c.attend(ctx, func(ctx context.Context) error {
		return waiting.For(ctx, c.Tell, "the coordinator's last status and workers of other machines", nowWithin+othersWithin, func(ctx context.Context) error {
			now, heard = c.hear(ctx)
			if c.Shared != nil {
				c.awaitOthers(ctx, now)
			}
			return nil
		})
	})
	if heard {
		c.note(now)
	}
	if err != nil {
		return nil, err
	}
	if c.done, err = c.stored(); err != nil {
		return nil, err
	}
	if c.Last != nil && c.done && c.cause == nil {
		if err := c.attend(ctx, func(ctx context.Context) error { last = c.unlessStopped(ctx); return nil }); err != nil {
			return nil, err
		}
	}
	return last, c.finish(ctx, coordinator)
}

// unlessStopped makes the last call, which a stop leaves out or breaks off: what
// is still to come belongs to an orderly end.
func (c *cluster) unlessStopped(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	select {
	case <-c.Stop:
		return nil
	default:
		go func() { result <- c.Last(ctx, c.environ) }()
	}
	select {
	case err := <-result:
		return err
	case <-c.Stop:
		cancel()
		<-result
		return nil
	}
}

// stored reports whether the last step is in a checkpoint. The folder says it, and
// not the coordinator, which may just be starting again.
func (c *cluster) stored() (bool, error) {
	steps, err := checkpoint.Steps(string(c.Dir))
	if err != nil {
		return false, err
	}
	return len(steps) > 0 && steps[len(steps)-1] >= c.Spec.Steps, nil
}

// finish asks a service to end and waits until it has. It is looked after until
// then: one that dies before is started again and does what the other left.
func (c *cluster) finish(ctx context.Context, ch *child) error {
	if ch.gone {
		return nil
	}
	subject := wire.SubjectsOf(c.Spec.Run).Status()
	if ch.role == wire.RoleCheckpoint {
		subject = wire.SubjectsOf(c.Spec.Run).SnapshotInfo(wire.IDCheckpoint)
	}
	err := c.attend(ctx, func(ctx context.Context) error {
		return waiting.For(ctx, c.Tell, "the "+ch.command.Name+" to answer", answerWithin, func(ctx context.Context) error {
			c.answers(ctx, subject)
			return nil
		})
	})
	if err != nil {
		return err
	}
	ch.dismissed = true
	p := ch.proc
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := false
	err = c.attend(ctx, func(ctx context.Context) error {
		err := waiting.For(ctx, c.Tell, "the "+ch.command.Name+" to end", endWithin, func(ctx context.Context) error {
			select {
			case <-p.Ended():
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err == nil {
			return nil
		}
		late = errors.Is(err, context.DeadlineExceeded)
		err = p.Kill()
		<-p.Ended()
		return err
	})
	switch {
	case err != nil || p.Err() == nil:
		return err
	case late:
		err = fmt.Errorf("%s did not end by itself within %s", ch.command.Name, endWithin)
	default:
		if e := p.Ending(); e.Manner != process.Killed {
			err = fmt.Errorf("%s: %s", ch.command.Name, e.Words)
		}
	}
	if err != nil && ch.role == wire.RoleCheckpoint { // it holds the ledger
		return err
	}
	// Somebody else's signal was quicker, or there was nothing left to do.
	c.Log.Warn("ended another way than asked to", zap.Error(p.Err()))
	return nil
}

// hear fetches the status, as often as that takes, for a while.
func (c *cluster) hear(ctx context.Context) (s wire.Status, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, nowWithin)
	defer cancel()
	for ctx.Err() == nil && !ok {
		within, done := context.WithTimeout(ctx, time.Second)
		if s, ok = c.fetch(within); !ok {
			rest(ctx, 50*time.Millisecond)
		}
		done()
	}
	return s, ok
}

// answers waits until a service answers a request, for a while.
func (c *cluster) answers(ctx context.Context, subject string) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for ctx.Err() == nil {
		within, done := context.WithTimeout(ctx, time.Second)
		_, err := c.role.NATS.RequestWithContext(within, subject, nil)
		done()
		if err == nil {
			return
		}
		rest(ctx, 50*time.Millisecond)
	}
}

// rest pauses a loop that looks at ctx itself.
func rest(ctx context.Context, d time.Duration) { _ = waiting.Rest(ctx, d) }
