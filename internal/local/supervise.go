package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/wire"
)

// supervise returns when all workers have finished.
func (c *cluster) supervise(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	stop := c.Stop
	intents, err := c.role.Store.WatchIntent(ctx)
	if err != nil {
		return fmt.Errorf("watch intent: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Kill:
			return ErrKilled
		case <-stop:
			stop = nil
			c.stopping = time.Now()
		case ch := <-c.ends:
			if err := c.ended(ctx, ch); err != nil {
				return err
			}
			if c.finished() {
				c.ask(ctx)
				return nil
			}
		case ch := <-c.starts:
			if err := c.start(ch); err != nil {
				return err
			}
		case i, open := <-intents:
			if !open {
				intents = nil
			} else if err := c.scale(ctx, i); err != nil {
				return err
			}
		case <-tick.C:
			c.ask(ctx)
			if err := c.insist(ctx); err != nil {
				return err
			}
		}
	}
}

// ended decides what follows on the end of a process.
func (c *cluster) ended(ctx context.Context, ch *child) error {
	c.Log.Info("ended", zap.String("process", ch.command.Name), zap.Int("pid", ch.proc.PID), zap.Int("code", ch.proc.ExitCode()))
	if ch.role == wire.RoleWorker {
		if ch.proc.ExitCode() == 0 {
			ch.finished = true
			return nil
		}
		c.accuse(ch)
	}
	if !c.stopping.IsZero() && c.termed {
		ch.finished = true
		return nil
	}
	wait, err := ch.pause(time.Now())
	if err != nil {
		return err
	}
	time.AfterFunc(wait, func() {
		select {
		case c.starts <- ch:
		case <-c.role.Done():
		}
	})
	return nil
}

// accuse tells the coordinator at once that a worker's process is gone.
func (c *cluster) accuse(ch *child) {
	b, err := wire.Encode(wire.Suspicion{
		From: "up", Subject: ch.id, PID: ch.proc.PID, Evidence: "process ended: " + ch.proc.Err().Error(), Final: true,
	})
	if err == nil {
		err = c.role.NATS.Publish(wire.SubjectsOf(c.Spec.Run).Suspect(), b)
	}
	if err != nil {
		c.Log.Warn("tell of a dead worker", zap.Error(err))
	}
}

// finished tells whether all workers have ended as they should.
func (c *cluster) finished() bool {
	return !slices.ContainsFunc(c.workers(), func(ch *child) bool { return !ch.finished })
}

// scale starts the workers that are wanted and not there. Those that are too many
// leave by themselves: the coordinator asks them to.
func (c *cluster) scale(ctx context.Context, i wire.Intent) error {
	if i.Scales <= c.scales || i.Stop || !c.stopping.IsZero() {
		return nil
	}
	c.scales = i.Scales
	c.ask(ctx) // who is on the way out does not count
	leaving := map[string]bool{}
	for _, p := range c.status.Processes {
		leaving[p.ID] = p.Role == wire.RoleWorker && p.State == "draining"
	}
	var free []*child
	lack := i.Workers
	for _, ch := range c.workers() {
		switch {
		case ch.finished:
			free = append(free, ch)
		case !leaving[ch.id]:
			lack--
		}
	}
	for range lack {
		var ch *child
		if len(free) > 0 {
			ch, free = free[0], free[1:]
			ch.finished, ch.early = false, 0
		} else {
			ch = c.newWorker()
			c.children = append(c.children, ch)
		}
		if err := c.start(ch); err != nil {
			return err
		}
	}
	return nil
}

// ask fetches the status and shows it.
func (c *cluster) ask(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	m, err := c.role.NATS.RequestWithContext(within, wire.SubjectsOf(c.Spec.Run).Status(), nil)
	if err != nil {
		return // no coordinator leads just now
	}
	var reply wire.Reply
	var s wire.Status
	if err := errors.Join(json.Unmarshal(m.Data, &reply), json.Unmarshal(reply.Result, &s)); err != nil {
		c.Log.Warn("status", zap.Error(err))
		return
	}
	if s.Step != c.status.Step {
		c.moved = time.Now()
	}
	c.status = s
	if c.Watch != nil {
		c.Watch(s)
	}
}
