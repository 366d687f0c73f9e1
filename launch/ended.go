package launch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// What follows on the end of a process.

// ended decides it.
func (c *cluster) ended(ch *child) error {
	e := ch.proc.Ending()
	c.Log.Info("ended", zap.String("process", ch.command.Name), zap.Int("pid", ch.proc.PID), zap.Error(ch.proc.Err()), zap.String("words", e.Words))
	if ch.dismissed {
		return nil
	}
	lack := lacks(e, e.Manner == process.Killed && c.oom.claim())
	if ch.role == wire.RoleWorker {
		if ch.finished { // it was left out
			c.accuse(ch, e, lack)
			return nil
		}
		if e.Manner == process.Succeeded {
			if ch.again && c.stop.asked.IsZero() && c.status.Step < c.Spec.Steps {
				return c.revive(ch)
			}
			ch.finished = true
			return nil
		}
		c.accuse(ch, e, lack)
		if !c.stop.left.IsZero() || c.cause != nil { // it was told to leave, or the run ends without it
			ch.finished = true
			return nil
		}
	}
	wait, v := ch.trouble.after(end{
		manner: e.Manner, code: e.Report.Code, scarce: lack != nothing, life: time.Since(ch.started), useful: ch.useful, steps: c.advance.steps,
	})
	if lack != nothing {
		c.shortage.note(time.Now(), lack, ch.command.Name, e)
		if ch.role == wire.RoleWorker && (v == wanting || ch.trouble.scarce >= roomForFewer || c.shortage.crowded(time.Now())) && c.leaveOut(ch) {
			return nil
		}
	}
	switch v {
	case wanting:
		ch.gone = true
		return c.scarce(fmt.Sprintf("%s ended %s in a row", ch.command.Name, often(ch.trouble.scarce)))
	case hopeless:
		ch.gone = true
		return ch.givenUp(e, max(ch.trouble.vain, ch.trouble.kills))
	}
	if e.Manner != process.Succeeded && e.Manner != process.Killed || lack != nothing {
		ch.failure = e.Words
	}
	// The coordinator tells of workers that were killed, with what it did about it.
	if ch.role != wire.RoleWorker || ch.failure != "" {
		c.say(ch.follows(e, lack == memory, wait))
	}
	c.later(ch, wait)
	return nil
}

// leaveOut lets the run go on without a worker for which the machine has no room, if
// the run may have fewer.
func (c *cluster) leaveOut(ch *child) bool {
	others := slices.DeleteFunc(c.workers(), func(w *child) bool { return w == ch || w.finished })
	if len(others) < c.Spec.Workers.Min {
		return false
	}
	ch.finished = true
	c.shortage.left++
	c.shortage.ends, c.shortage.since = nil, time.Time{}
	for _, w := range others {
		w.trouble.scarce = 0 // they have more room now
	}
	c.say(fmt.Sprintf("%s is left out, %d of %d workers go on: %s", ch.command.Name, len(others), c.wanted(), c.shortage.text(c.limits())))
	return true
}

// starve lets a run that gets nowhere for want of something go on with a worker less,
// or ends it.
func (c *cluster) starve() error {
	if c.cause != nil || !c.stop.asked.IsZero() || !c.shortage.starves(time.Now(), c.status.State) {
		return nil
	}
	for _, ch := range slices.Backward(c.workers()) {
		if ch.finished || !c.leaveOut(ch) {
			continue
		}
		if !c.alive(ch) {
			return nil
		}
		return ch.proc.Kill() // it holds no step that the others do not
	}
	return c.scarce(fmt.Sprintf("the run has made no new step for %s", starved))
}

// scarce is the error of a run that cannot go on for want of something.
func (c *cluster) scarce(what string) error {
	return exit.Wrap(exit.Resource, c.shortage.hint(), fmt.Errorf("%s: %s", what, c.shortage.text(c.limits())))
}

// later starts a process after a while.
func (c *cluster) later(ch *child, wait time.Duration) {
	if c.hurry > 0 {
		wait = min(wait, c.hurry)
	}
	time.AfterFunc(wait, func() {
		select {
		case c.starts <- ch:
		case <-c.role.Done():
		}
	})
}

// revive starts a process while the run goes on. What keeps it from starting may pass,
// and counts as an end.
func (c *cluster) revive(ch *child) error {
	failed := c.start(ch)
	if failed == nil {
		return nil
	}
	wait, v := ch.trouble.after(end{manner: process.Failed, code: exit.Failure, steps: c.advance.steps})
	if v != again {
		ch.gone = true
		return failed
	}
	c.Log.Warn("start", zap.String("process", ch.command.Name), zap.Error(failed))
	c.say(failed.Error() + "; it is tried again")
	c.later(ch, wait)
	return nil
}

// say tells people a line.
func (c *cluster) say(text string) {
	c.Log.Warn(text)
	if c.Tell != nil {
		c.Tell(text)
	}
}

// accuse tells the coordinator at once that a worker's process is gone.
func (c *cluster) accuse(ch *child, e process.Ending, lack lack) {
	evidence := wire.EvidenceEnded.With(e.Words)
	switch {
	case e.Manner == process.Crashed:
		evidence = wire.EvidenceCrashed.With(e.Words)
	case e.Manner == process.Killed && lack == memory:
		evidence = wire.EvidenceEnded.With("killed by the kernel for want of memory")
	case e.Manner == process.Killed:
		evidence = wire.EvidenceEnded.With(ch.proc.Err().Error())
	}
	b, err := wire.Encode(wire.Suspicion{From: wire.IDUp, Subject: ch.id, PID: ch.proc.PID, Evidence: evidence, Final: true})
	if err == nil {
		err = c.role.NATS.Publish(wire.SubjectsOf(c.Spec.Run).Suspect(), b)
	}
	if err != nil {
		c.Log.Warn("tell of a dead worker", zap.Error(err))
	}
}

// rescueWithin bounds how long those that live may take to store what they hold.
const rescueWithin = 5 * time.Minute

// rescue ends a run that cannot go on: whoever lives stores what it holds, as at a stop,
// and nothing of the cluster is left. It returns nil when the last checkpoint, if there
// was anything to store, and the ledger are where they belong.
func (c *cluster) rescue(ctx context.Context, cause error) error {
	c.cause = cause
	c.Log.Error("the run ends", zap.Error(cause))
	for _, ch := range c.children {
		if ch.role == wire.RoleCheckpoint && ch.gone {
			return cause // nobody stores
		}
	}
	waiting := false
	for _, ch := range c.workers() {
		if !c.alive(ch) {
			ch.finished = true
		}
		waiting = waiting || !ch.finished
	}
	if !waiting {
		return nil
	}
	c.say("the run cannot go on; those that live store what they hold")
	if c.stop.asked.IsZero() {
		c.stop.asked = time.Now()
	}
	ctx, cancel := context.WithTimeout(ctx, rescueWithin)
	defer cancel()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	if err := c.look(ctx, events{tick: tick.C}); err != nil {
		c.Log.Warn("not all was stored", zap.Error(err))
		return gather(cause, err)
	}
	return nil
}
