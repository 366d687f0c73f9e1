package launch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/wire"
)

// Bounds of a stop that gets nowhere. Steps that take long have longer.
const (
	idleFor  = time.Second      // where nothing trains, until the workers are told to leave
	stuckFor = 10 * time.Second // where steps should come, until then
	leaveFor = 30 * time.Second // from then on until they are killed
	slowStep = 3                // steps that one may wait for in any case
)

// stop is the wish to end the run, and what came of it. It is a value without
// clock or processes.
type stop struct {
	asked time.Time // zero: nobody did
	told  bool      // the coordinator accepted it
	left  time.Time // when the workers were told to leave; zero: not yet
}

// next says what is due: that the workers leave without a vote, or that they are
// killed. Progress is what the run last made any at; storing, that nothing but
// the last checkpoint is still due, which takes as long as it takes.
func (s stop) next(now, progress time.Time, status wire.Status, storing bool) (leave, kill bool) {
	if s.asked.IsZero() || storing {
		return false, false
	}
	step := slowStep * time.Duration(status.StepSeconds.Or(0)*float64(time.Second))
	still := func(since time.Time, least time.Duration) bool {
		least = max(least, step)
		return now.Sub(since) > least && now.Sub(progress) > least
	}
	if !s.left.IsZero() {
		return false, still(s.left, leaveFor)
	}
	switch status.State {
	case wire.StateWaiting, wire.StatePreparing, "":
		return now.Sub(s.asked) > idleFor, false
	}
	return still(s.asked, stuckFor), false
}

// storing reports whether all that train have stopped and wait for the checkpoint.
func storing(s wire.Status) bool {
	members, stopped := census(s)
	return s.State == wire.StateStopping && members > 0 && stopped == members
}

// census counts the workers in the ring, and those of them that have stopped.
func census(s wire.Status) (members, stopped int) {
	for _, p := range s.Processes {
		if p.Role != wire.RoleWorker || p.Rank < 0 {
			continue
		}
		members++
		if p.State == wire.WorkerStopped {
			stopped++
		}
	}
	return members, stopped
}

// progressed reports whether a run got on from one status to another.
func progressed(before, now wire.Status) bool {
	_, then := census(before)
	_, stopped := census(now)
	return now.Step != before.Step || now.Checkpoint != before.Checkpoint || stopped > then
}

// insist brings a stop about: by the vote of the workers in their next step, or,
// where no step comes, by telling them to leave.
func (c *cluster) insist(ctx context.Context) error {
	if c.stop.asked.IsZero() {
		return nil
	}
	if c.cause != nil && !c.deposed {
		if err := c.role.NATS.Publish(wire.SubjectsOf(c.Spec.Run).Stop(), nil); err != nil {
			c.Log.Warn("stop the workers", zap.Error(err))
		}
	}
	if !c.stop.told && !c.deposed {
		err := c.tell(ctx)
		if err != nil {
			c.Log.Info("a stop is not accepted yet", zap.Error(err))
		}
		c.stop.told = err == nil
	}
	stores := storing(c.status)
	if c.cause != nil && !c.lives(wire.RoleCoordinator) {
		stores = true // as far as anybody knows
	}
	leave, kill := c.stop.next(time.Now(), c.progress, c.status, stores && c.lives(wire.RoleCheckpoint) && !c.deposed)
	leave = leave || c.deposed && c.stop.left.IsZero()
	if leave {
		c.stop.left = time.Now()
		for _, ch := range c.workers() {
			if ch.finished || ch.proc == nil {
				continue
			}
			if err := ch.proc.Signal(syscall.SIGTERM); err != nil {
				c.Log.Warn("stop", zap.Error(err))
			}
		}
	}
	if kill {
		return ErrKilled
	}
	return nil
}

// part kills workers that are still there long after the run was done: one that hangs
// would keep everything for ever. The next of its name finds nothing to do, and ends.
func (c *cluster) part() {
	if c.status.Checkpoint < c.Spec.Steps {
		return
	}
	if c.over.IsZero() {
		c.over = time.Now()
	}
	if time.Since(c.over) < cmp.Or(c.patience, leaveFor) {
		return
	}
	c.over = time.Time{}
	for _, ch := range c.workers() {
		if ch.finished || ch.proc == nil {
			continue
		}
		c.Log.Warn("the run is done, and it does not end", zap.String("process", ch.command.Name))
		if err := ch.proc.Kill(); err != nil {
			c.Log.Warn("kill", zap.Error(err))
		}
	}
}

// tell asks the coordinator for a stop. One that was elected a moment ago, or will
// not be in a moment, refuses: it has to be asked again.
func (c *cluster) tell(ctx context.Context) error {
	reason := "asked for by the user"
	if c.cause != nil {
		reason = "the run cannot go on"
	}
	b, err := wire.Encode(wire.Control{Verb: wire.VerbStop, Reason: reason})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	m, err := c.role.NATS.RequestWithContext(ctx, wire.SubjectsOf(c.Spec.Run).Control(), b)
	if err != nil {
		return err
	}
	var reply wire.Reply
	if err := wire.Decode(m.Data, &reply); err != nil {
		return err
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	return nil
}

// lives reports whether the process of a role is there.
func (c *cluster) lives(role wire.Role) bool {
	return slices.ContainsFunc(c.children, func(ch *child) bool { return ch.role == role && c.alive(ch) })
}

// alive reports whether the process of a child is there.
func (c *cluster) alive(ch *child) bool {
	if ch.proc == nil {
		return false
	}
	select {
	case <-ch.proc.Ended():
		return false
	default:
		return true
	}
}
