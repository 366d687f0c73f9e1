package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// events are what look waits for besides the processes; nil never comes.
type events struct {
	stop    <-chan struct{}
	intents <-chan wire.Intent
	tick    <-chan time.Time
	over    <-chan struct{}
}

// tickEvery is how often the status is asked for.
const tickEvery = 500 * time.Millisecond

// supervise returns when all workers have finished.
func (c *cluster) supervise(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	intents, err := c.role.Store.WatchIntent(ctx)
	if err != nil {
		return fmt.Errorf("watch intent: %w", err)
	}
	err = c.look(ctx, events{stop: c.Stop, intents: intents, tick: tick.C})
	if errors.Is(err, ErrKilled) {
		err = fmt.Errorf("%w, without a checkpoint", err)
	}
	return err
}

// attend looks after the processes while f goes on, which ends when its context
// does.
func (c *cluster) attend(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	var result error
	go func() { defer close(over); result = f(ctx) }()
	err := c.look(ctx, events{over: over})
	cancel()
	<-over
	if err != nil {
		return err
	}
	return result
}

// look does what events ask for. It returns when all workers have finished, or
// when it is over.
func (c *cluster) look(ctx context.Context, e events) error {
	for {
		select {
		case <-e.over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Kill:
			return ErrKilled
		case <-e.stop:
			e.stop = nil
			c.stop.asked = time.Now()
		case ch := <-c.ends:
			if err := c.ended(ch); err != nil {
				return err
			}
			if ch.role == wire.RoleWorker && c.finished() {
				return nil
			}
		case ch := <-c.starts:
			if ch.finished || ch.gone {
				continue
			}
			if ch.role == wire.RoleWorker && !c.stop.left.IsZero() {
				if ch.finished = true; c.finished() {
					return nil
				}
				continue
			}
			if err := c.revive(ch); err != nil {
				return err
			}
		case i, open := <-e.intents:
			if !open {
				e.intents = nil
			} else if err := c.scale(ctx, i); err != nil {
				return err
			}
		case err := <-c.services.failed:
			c.deposed = c.Shared != nil // another has the run now, and may go on with it
			return exit.Wrap(exit.Resource, exit.Hint(err), err)
		case <-e.tick:
			c.miss(c.ask(ctx))
			if err := c.listen(); err != nil {
				return err
			}
			c.report()
			c.part()
			c.oom.forget(time.Now())
			if err := c.starve(); err != nil {
				return err
			}
			if err := c.insist(ctx); err != nil {
				return err
			}
		}
	}
}

// finished tells whether all workers have ended as they should.
func (c *cluster) finished() bool {
	return !slices.ContainsFunc(c.workers(), func(ch *child) bool { return !ch.finished })
}

// scale starts the workers that are wanted and not there. Those that are too many
// leave by themselves: the coordinator asks them to.
func (c *cluster) scale(ctx context.Context, i wire.Intent) error {
	if i.Scales <= c.scales || i.Stop || !c.stop.asked.IsZero() {
		return nil
	}
	c.scales = i.Scales
	c.ask(ctx) // who is on the way out does not count
	lack, free := muster(c.workers(), c.status, i.Workers)
	for range lack {
		var ch *child
		if len(free) > 0 {
			ch, free = free[0], free[1:]
			ch.finished, ch.trouble = false, trouble{}
			c.shortage = shortage{} // whoever asks for more may have made room
		} else {
			ch = c.newWorker()
			c.children = append(c.children, ch)
		}
		if err := c.revive(ch); err != nil {
			return err
		}
	}
	return nil
}

// ask fetches the status and shows it, if somebody answers.
func (c *cluster) ask(ctx context.Context) (answered bool) {
	within, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	s, answered := c.fetch(within)
	if answered {
		c.note(s)
	}
	return answered
}

// fetch asks the coordinator; none may lead just now.
func (c *cluster) fetch(ctx context.Context) (s wire.Status, ok bool) {
	m, err := c.role.NATS.RequestWithContext(ctx, wire.SubjectsOf(c.Spec.Run).Status(), nil)
	if err != nil {
		return s, false
	}
	var reply wire.Reply
	if err := errors.Join(json.Unmarshal(m.Data, &reply), json.Unmarshal(reply.Result, &s)); err != nil {
		c.Log.Warn("status", zap.Error(err))
		return s, false
	}
	return s, true
}

// note keeps a status and shows it.
func (c *cluster) note(s wire.Status) {
	if progressed(c.status, s) {
		c.progress = time.Now()
	}
	stepped, stored := c.advance.note(s.Step, s.Checkpoint)
	if stepped {
		c.shortage.since = time.Time{}
	}
	for _, ch := range c.children {
		if stored {
			ch.failure = ""
		}
		switch p, there := shownIn(s, ch); ch.role {
		case wire.RoleWorker:
			if stepped && there && p.Rank >= 0 {
				ch.useful, ch.failure = true, ""
			}
		case wire.RoleCheckpoint:
			ch.useful = ch.useful || stored
		default:
			ch.useful = ch.useful || stepped
		}
	}
	for _, p := range s.Processes {
		who := fmt.Sprintf("%s on %s", p.ID, p.Host)
		if p.Role == wire.RoleWorker && p.State == wire.WorkerRefused && c.refused[who] != p.PID {
			c.refused[who] = p.PID
			c.say(fmt.Sprintf("worker %s is refused: %s", who, p.Reason))
		}
	}
	c.status, c.silent.broken = s, true
	show(c.workers(), s)
	c.Watch(s)
}

// report shows in the status of the run what this process knows of the others: which
// service fails, and what to warn of. The service itself is there again, and does not
// know.
func (c *cluster) report() {
	state := wire.ProcessRunning
	for _, ch := range c.children {
		if ch.failure != "" && ch.role != wire.RoleWorker {
			state = wire.ProcessState(string(ch.role) + " fails: " + ch.failure)
		}
	}
	warnings := c.warnings(time.Now())
	if state == wire.ProcessRunning && len(warnings) == 0 && !c.warned {
		return
	}
	c.warned = len(warnings) > 0 // what is over is taken back
	b, err := wire.Encode(wire.ProcessBeat{Role: wire.RoleUp, ID: wire.IDUp, PID: os.Getpid(), Host: c.role.Host, State: state, Warnings: warnings})
	if err == nil {
		err = c.role.NATS.Publish(wire.SubjectsOf(c.Spec.Run).Process(), b)
	}
	if err != nil {
		c.Log.Warn("tell what this process knows", zap.Error(err))
	}
}
