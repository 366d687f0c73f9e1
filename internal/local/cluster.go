package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-multierror"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/energy"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/role"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/wire"
)

// Options say what to run.
type Options struct {
	Dir    rundir.Dir
	Spec   runspec.Spec // complete
	Gramme string       // executable of coordinator and checkpoint service
	Worker string       // executable of the workers
	Log    *zap.Logger
	// Shared are etcd and NATS that others run; nil: both run in this process.
	Shared *endpoint.Endpoint
	// Host is the address at which workers elsewhere reach those of this machine;
	// "": that of the connection to NATS.
	Host string
	// Joined is told how to reach the services, once they are there.
	Joined func(endpoint.Endpoint)
	// Stop asks the run to end after the step that it is at; Kill, at once.
	Stop, Kill <-chan struct{}
	// Watch is told the status about twice a second.
	Watch func(wire.Status)
	// Last is called after the last step, while the services still run.
	Last func(ctx context.Context, env []string) error
}

// cluster is one call of Run.
type cluster struct {
	Options
	services *services
	environ  []string // how a child finds the services
	role     *role.Role
	starter  *process.Starter
	children []*child
	ends     chan *child
	starts   chan *child
	stopping time.Time // when the stop was asked for
	told     bool      // the coordinator knows
	termed   bool      // the workers were told to leave
	scales   uint64    // newest scale that was acted on
	status   wire.Status
	moved    time.Time // when the status last showed a new step
}

// Run trains until the steps are done, or until Stop, and returns when nothing
// of the cluster is left.
func Run(ctx context.Context, o Options) (err error) {
	c := &cluster{Options: o, ends: make(chan *child), starts: make(chan *child), moved: time.Now()}
	if o.Shared != nil {
		c.services, err = joinServices(ctx, o.Dir, o.Spec, *o.Shared)
	} else {
		c.services, err = startServices(ctx, o.Dir, o.Spec.Run, o.Log)
	}
	if err != nil {
		return err
	}
	defer func() { err = gather(err, c.services.close(err == nil && c.status.State == wire.StateDone)) }()
	if o.Shared == nil {
		if err := c.publishSpec(ctx); err != nil {
			return err
		}
	}
	if o.Joined != nil {
		o.Joined(c.services.endpoint)
	}
	if c.environ, err = c.services.endpoint.Environ(); err != nil {
		return err
	}
	c.role, err = role.Start(ctx, role.Options{
		Role: "up", ID: "up", Endpoint: c.services.endpoint, Energy: o.Dir.Energy(), Phase: energy.Idle, Log: o.Log,
	})
	if err != nil {
		return err
	}
	defer func() { err = gather(err, c.role.Close()) }()
	c.starter = process.NewStarter()
	defer c.starter.Close() // kills what still lives
	return c.run(ctx)
}

func gather(err, other error) error {
	if other == nil {
		return err
	}
	if err == nil {
		return other
	}
	return multierror.Append(err, other)
}

// publishSpec puts the spec where every process of the run reads it.
func (c *cluster) publishSpec(ctx context.Context) error {
	client, err := c.services.endpoint.DialEtcd(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	b, err := c.Spec.Encode()
	if err != nil {
		return err
	}
	return etcdstore.New(client, c.Spec.Run).PutSpec(ctx, b)
}

func (c *cluster) run(ctx context.Context) error {
	service := func(name string) *child {
		return c.child(name, name, c.Gramme, name, "--run", string(c.Dir), "--id", name)
	}
	store, coordinator := service(wire.RoleCheckpoint), service(wire.RoleCoordinator)
	c.children = []*child{store, coordinator}
	for range c.Spec.Workers.Max {
		c.children = append(c.children, c.newWorker())
	}
	defer c.killAll()
	var last error
	err := c.role.Run(ctx, func(ctx context.Context) error {
		for _, ch := range c.children {
			if err := c.start(ch); err != nil {
				return err
			}
		}
		if err := c.supervise(ctx); err != nil {
			return err
		}
		if c.Shared != nil {
			c.awaitOthers(ctx)
		}
		if c.Last != nil && c.status.State == wire.StateDone {
			last = c.Last(ctx, c.environ)
		}
		return c.finish(coordinator)
	})
	if err != nil {
		return err
	}
	// The last to go: it holds the ledger.
	return gather(last, c.finish(store))
}

// newWorker is a worker of a name that no other has.
func (c *cluster) newWorker() *child {
	id := fmt.Sprintf("w%d", len(c.workers())+1)
	args := []string{"run", "--run", string(c.Dir), "--id", id}
	if c.Host != "" {
		args = append(args, "--host", c.Host)
	}
	ch := c.child(wire.RoleWorker, id, c.Worker, args...)
	if c.Spec.Threads > 1 && c.Spec.Threads*c.Spec.Workers.Max > runtime.NumCPU() {
		// libgomp's threads spin while they wait, which takes the processor from
		// the other workers: two of two threads on two cores are 6 times slower.
		ch.command.Env = append(slices.Clone(ch.command.Env), "OMP_WAIT_POLICY=passive")
	}
	return ch
}

func (c *cluster) workers() []*child {
	return slices.DeleteFunc(slices.Clone(c.children), func(ch *child) bool { return ch.role != wire.RoleWorker })
}

func (c *cluster) child(roleName, id, path string, args ...string) *child {
	return &child{role: roleName, id: id, command: process.Command{
		Name: roleName + " " + id, Path: path, Args: args, Env: c.environ, Log: c.Dir.Log(id),
	}}
}

func (c *cluster) start(ch *child) error {
	p, err := c.starter.Start(ch.command)
	if err != nil {
		return err
	}
	ch.proc, ch.started, ch.shown, ch.again = p, time.Now(), false, false
	c.Log.Info("started", zap.String("process", ch.command.Name), zap.Int("pid", p.PID))
	go func() { // ends with the process, or with the cluster
		<-p.Ended()
		select {
		case c.ends <- ch:
		case <-c.role.Done():
		}
	}()
	return nil
}

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
			if ch.again && c.stopping.IsZero() && c.status.Step < c.Spec.Steps {
				return c.start(ch)
			}
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
	lack, free := muster(c.workers(), c.status, i.Workers)
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
	show(c.workers(), s)
	if c.Watch != nil {
		c.Watch(s)
	}
}

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

// finish asks a service to end and waits until it has.
func (c *cluster) finish(ch *child) error {
	if err := ch.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-ch.proc.Ended():
	case <-time.After(20 * time.Second):
		if err := ch.proc.Kill(); err != nil {
			return err
		}
		<-ch.proc.Ended()
		return fmt.Errorf("%s did not end by itself", ch.command.Name)
	}
	return ch.proc.Err()
}

// killAll leaves no child behind.
func (c *cluster) killAll() {
	for _, ch := range c.children {
		if ch.proc == nil {
			continue
		}
		if err := ch.proc.Kill(); err != nil {
			c.Log.Warn("kill", zap.Error(err))
		}
		<-ch.proc.Ended()
	}
}
