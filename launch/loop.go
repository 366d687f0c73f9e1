package launch

import (
	"cmp"
	"context"
	"fmt"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/supervisor"
)

// loop tells the supervisor what happens and does what it decides, until the run ends.
func (c *cluster) loop(ctx context.Context) error {
	intents, err := c.role.Store.WatchIntent(ctx)
	if err != nil {
		return fmt.Errorf("watch intent: %w", err)
	}
	defer c.endJob()
	decides := supervisor.New(supervisor.Config{
		Workers: cmp.Or(c.Workers, c.Spec.Workers.Max), Min: c.Spec.Workers.Min, Steps: c.Spec.Steps, FailureTimeout: c.Spec.FailureTimeout,
		Shared: c.Shared != nil, LastCall: c.Last != nil, Log: c.Dir.Log, Straggle: c.straggle,
	})
	in := inputs{stop: c.Stop, intents: intents}
	for event := supervisor.Event(supervisor.Begin{Limits: c.limits()}); ; {
		for events := []supervisor.Event{event}; len(events) > 0; events = events[1:] {
			for _, effect := range decides.Step(time.Now(), events[0]) {
				if end, over := effect.(supervisor.End); over {
					return end.Err
				}
				if answer := c.do(ctx, effect); answer != nil {
					events = append(events, answer)
				}
			}
		}
		if event, err = c.await(ctx, &in, decides.Next()); err != nil {
			return err
		}
	}
}

// inputs are what comes once or ends; nil never comes.
type inputs struct {
	stop    <-chan struct{}
	intents <-chan wire.Intent
}

// await returns the next event, a Tick at the latest at a time.
func (c *cluster) await(ctx context.Context, in *inputs, until time.Time) (supervisor.Event, error) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.Kill:
			return supervisor.KillAsked{}, nil
		case <-in.stop:
			in.stop = nil
			return supervisor.StopAsked{}, nil
		case p := <-c.ended:
			e := p.Ending()
			c.Log.Info("ended", zap.String("process", p.Name), zap.Int("pid", p.PID), zap.Error(p.Err()), zap.String("words", e.Words))
			return supervisor.Ended{ID: p.ID, PID: p.PID, Ending: e, Limits: c.limits()}, nil
		case i, open := <-in.intents:
			if open {
				return supervisor.Wanted{Intent: i}, nil
			}
			in.intents = nil
		case err := <-c.services.failed:
			return supervisor.ServicesFailed{Err: err}, nil
		case done := <-c.job.done():
			c.job = nil
			c.stored = c.stored || done.Stored
			return done, nil
		case <-due:
			return supervisor.Tick{}, nil
		}
	}
}

// do carries out an effect, and returns the answer to it, if it has one at once.
func (c *cluster) do(ctx context.Context, effect supervisor.Effect) supervisor.Event {
	switch e := effect.(type) {
	case supervisor.Start:
		p, err := c.start(ctx, e.ID, e.Role)
		if err != nil {
			return supervisor.NotStarted{ID: e.ID, Err: err}
		}
		return supervisor.Started{ID: e.ID, PID: p.PID}
	case supervisor.Terminate:
		c.signal(e.ID, syscall.SIGTERM)
	case supervisor.Kill:
		c.signal(e.ID, syscall.SIGKILL)
	case supervisor.Look:
		return supervisor.Looked{Status: c.status(ctx), Vitals: c.vitals(e.Vitals), Limits: c.limits()}
	case supervisor.AskStop:
		return supervisor.StopAnswered{Err: c.askStop(ctx, e.Reason)}
	case supervisor.StopWorkers:
		c.publish("stop the workers", wire.SubjectsOf(c.Spec.Run).Stop(), nil)
	case supervisor.Suspect:
		c.publish("tell of a dead worker", wire.SubjectsOf(c.Spec.Run).Suspect(), e.Suspicion)
	case supervisor.Show:
		c.show(e)
	case supervisor.Tell:
		c.say(e.Text)
	case supervisor.Log:
		c.Log.Log(zapcore.Level(e.Level), e.Text)
	case supervisor.Do:
		c.beginJob(ctx, e)
	case supervisor.Cancel:
		c.job.cancel()
	}
	return nil
}

func (c *cluster) signal(id string, s syscall.Signal) {
	if err := c.processes[id].Signal(s); err != nil {
		c.Log.Warn("signal", zap.Error(err))
	}
}

// vitals show how some processes are, but for those that have just ended.
func (c *cluster) vitals(ids []string) map[string]supervisor.Vitals {
	all := map[string]supervisor.Vitals{}
	for _, id := range ids {
		if v, err := process.VitalsOf(c.processes[id].PID); err == nil {
			all[id] = supervisor.Vitals(v)
		}
	}
	return all
}

// say tells people a line.
func (c *cluster) say(text string) {
	c.Log.Warn(text)
	c.Tell(text)
}
