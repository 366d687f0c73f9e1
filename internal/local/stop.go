package local

import (
	"context"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/wire"
)

// insist brings a stop about: by the vote of the workers in their next step, or,
// where no step comes, by telling them to leave.
func (c *cluster) insist(ctx context.Context) error {
	if c.stopping.IsZero() {
		return nil
	}
	if !c.told {
		b, err := wire.Encode(wire.Control{Verb: "stop", Reason: "asked for by the user"})
		if err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
		defer cancel()
		if _, err := c.role.NATS.RequestWithContext(within, wire.SubjectsOf(c.Spec.Run).Control(), b); err == nil {
			c.told = true
		}
	}
	since := time.Since(c.stopping)
	stuck := time.Since(c.moved) > 10*time.Second && c.status.StepSeconds < 5
	idle := c.status.State == wire.StateWaiting || c.status.State == wire.StatePreparing || c.status.State == ""
	if !c.termed && since > time.Second && (idle || since > 10*time.Second && stuck) {
		c.termed = true
		for _, ch := range c.children {
			if ch.role == wire.RoleWorker && !ch.finished && ch.proc != nil {
				if err := ch.proc.Signal(syscall.SIGTERM); err != nil {
					c.Log.Warn("stop", zap.Error(err))
				}
			}
		}
	}
	if c.termed && since > 40*time.Second {
		return ErrKilled
	}
	return nil
}
