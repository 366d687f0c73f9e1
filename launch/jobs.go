package launch

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
	"github.com/gramme-project/gramme/launch/supervisor"
)

const (
	// answerWithin bounds how long the end of a service waits for one that was
	// started again a moment ago to do what the one before left.
	answerWithin = 10 * time.Second
	// statusWithin bounds the wait for the last status, which is for people.
	statusWithin = 5 * time.Second
	// othersWithin bounds how long the end waits for workers of other machines.
	othersWithin = 10 * time.Second
)

// job is work that goes on while the processes are supervised.
type job struct {
	cancel func()
	result chan supervisor.Done
}

// done delivers the result of a job; that of none never comes.
func (j *job) done() <-chan supervisor.Done {
	if j == nil {
		return nil
	}
	return j.result
}

func (c *cluster) beginJob(ctx context.Context, e supervisor.Do) {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{cancel, make(chan supervisor.Done, 1)}
	c.job = j
	own := slices.Collect(maps.Keys(c.processes))
	go func() { // ends with the job, which endJob waits for
		defer cancel()
		done := supervisor.Done{Job: e.Job}
		switch e.Job {
		case supervisor.LastStatus:
			done.Err = waiting.For(ctx, c.Tell, "the coordinator's last status and workers of other machines", statusWithin+othersWithin,
				func(ctx context.Context) (err error) {
					done.Status, done.Stored, err = c.lastStatus(ctx, own)
					return err
				})
		case supervisor.LastCall:
			done.Err = c.Last(ctx, c.environ)
		case supervisor.Answer:
			done.Err = waiting.For(ctx, c.Tell, "the "+e.Service+" to answer", answerWithin, func(ctx context.Context) error {
				c.awaitAnswer(ctx, e.Service)
				return nil
			})
		case supervisor.Flush:
			done.Err = waiting.For(ctx, c.Tell, "the checkpoint service to take the last energy readings", role.FlushWithin,
				func(context.Context) error { return c.flush() })
		}
		j.result <- done
	}()
}

// endJob breaks off the job, if there is one, and waits for it.
func (c *cluster) endJob() {
	if c.job != nil {
		c.job.cancel()
		<-c.job.result
	}
}

// lastStatus waits for the coordinator's last word and for workers of other machines.
// Whether the last step is in a checkpoint the folder says, and not the coordinator,
// which may just be starting again.
func (c *cluster) lastStatus(ctx context.Context, own []string) (last *wire.Status, stored bool, err error) {
	if last = c.awaitStatus(ctx); c.Shared != nil && last != nil {
		c.awaitOthers(ctx, *last, own)
	}
	steps, err := checkpoint.Steps(string(c.Dir))
	return last, len(steps) > 0 && steps[len(steps)-1] >= c.Spec.Steps, err
}

// awaitStatus fetches the status, as often as that takes, for a while.
func (c *cluster) awaitStatus(ctx context.Context) (s *wire.Status) {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	askUntil(ctx, func(ctx context.Context) bool { s = c.fetch(ctx); return s != nil })
	return s
}

// awaitAnswer waits until a service answers.
func (c *cluster) awaitAnswer(ctx context.Context, service string) {
	subject := wire.SubjectsOf(c.Spec.Run).Status()
	if service == wire.IDCheckpoint {
		subject = wire.SubjectsOf(c.Spec.Run).SnapshotInfo(wire.IDCheckpoint)
	}
	askUntil(ctx, func(ctx context.Context) bool {
		_, err := c.role.Bus.Request(ctx, bus.Message{Subject: subject})
		return err == nil
	})
}

// askUntil asks again and again, until an answer comes or ctx ends.
func askUntil(ctx context.Context, ask func(ctx context.Context) bool) {
	_ = waiting.Retry(ctx, waiting.Every(50*time.Millisecond), func(ctx context.Context) (bool, error) { // what does not come does not matter
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return ask(ctx), nil
	})
}

// awaitOthers lets workers of other machines end before the services of the run
// that take their last energy readings do. Those that stay too long are left.
func (c *cluster) awaitOthers(ctx context.Context, last wire.Status, own []string) {
	ctx, cancel := context.WithTimeout(ctx, othersWithin)
	defer cancel()
	other := func(p wire.Process) bool { return p.Role == wire.RoleWorker && !slices.Contains(own, p.ID) }
	pause := time.Duration(0)
	for slices.ContainsFunc(last.Processes, other) && waiting.Rest(ctx, 100*time.Millisecond) == nil {
		pause = time.Second // their readings follow the end of their registration
		if newer := c.awaitStatus(ctx); newer != nil {
			last = *newer
		}
	}
	waiting.Pause(ctx, pause)
}
