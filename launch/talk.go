package launch

import (
	"context"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/supervisor"
)

// replyWithin bounds what the loop waits for the coordinator: none may lead just now.
const replyWithin = 400 * time.Millisecond

// status fetches the status and shows it; nil: nobody answers.
func (c *cluster) status(ctx context.Context) *wire.Status {
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	return c.fetch(ctx)
}

// fetch asks the coordinator for the status, and shows it.
func (c *cluster) fetch(ctx context.Context) *wire.Status {
	s, err := bus.Request[wire.Status](ctx, c.role.Bus, wire.SubjectsOf(c.Spec.Run).Status(), nil)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, bus.ErrNoResponders) {
			c.Log.Warn("status", zap.Error(err))
		}
		return nil
	}
	c.Watch(s)
	return &s
}

// askStop asks the coordinator for a stop. One that was elected a moment ago, or will
// not be in a moment, refuses: it has to be asked again.
func (c *cluster) askStop(ctx context.Context, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	err := bus.Deliver(ctx, c.role.Bus, wire.SubjectsOf(c.Spec.Run).Control(), wire.Control{Verb: wire.VerbStop, Reason: reason})
	if err != nil {
		c.Log.Info("a stop is not accepted yet", zap.Error(err))
	}
	return err
}

// show puts into the status of the run what this process knows of the others.
func (c *cluster) show(s supervisor.Show) {
	c.publish("show what this process knows", wire.SubjectsOf(c.Spec.Run).Process(),
		wire.ProcessBeat{Role: wire.RoleUp, ID: wire.IDUp, PID: os.Getpid(), Host: c.role.Host, State: s.State, Warnings: s.Warnings})
}

// publish sends a message; nil is one without content.
func (c *cluster) publish(what, subject string, message any) {
	if err := bus.Publish(c.role.Bus, subject, message); err != nil {
		c.Log.Warn(what, zap.Error(err))
	}
}
