package launch

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
	"github.com/gramme-project/gramme/launch/supervisor"
	"github.com/gramme-project/gramme/runspec"
)

// Options say what to run.
type Options struct {
	Dir    rundir.Dir
	Spec   runspec.Spec     // complete
	Gramme *process.Program // of coordinator and checkpoint service
	Worker *process.Program // of the workers
	// Workers are started at first; 0: as many as the spec has at most.
	Workers int
	Log     *zap.Logger
	// Shared are etcd and NATS that others run; nil: both run in this process.
	Shared *endpoint.Endpoint
	// Host is the address at which workers elsewhere reach those of this machine;
	// "": that of the connection to NATS.
	Host string
	// Joined is told how to reach the services, once they are there.
	Joined func(endpoint.Endpoint)
	// Stop asks the run to end after the step that it is at, or, before the processes
	// are started, with ErrStopped; Kill, at once.
	Stop, Kill <-chan struct{}
	// Watch is told the status about twice a second.
	Watch func(wire.Status)
	// Tell is told in a line what went wrong without ending the run.
	Tell func(string)
	// Last is called after the last step, while the services still run, unless Stop
	// was asked for; then its context ends, and its error does not count.
	Last func(ctx context.Context, env []string) error

	limits   func() cgroup.Limits // of tests; nil: those of this process
	straggle time.Duration        // of tests: as in supervisor.Config
}

// cluster is one call of Run. Its fields belong to the goroutine of Run.
type cluster struct {
	Options
	services  *services
	environ   []string // how a child finds the services
	role      *role.Role
	starter   *process.Starter
	processes map[string]*process.Process // the newest of each ID
	ended     chan *process.Process
	job       *job
	flush     func() error // ends the meter, and sends its last readings
	stored    bool         // the last step is in a checkpoint
	replaced  bool         // it was told that another program lies where the run's did
}

// ErrKilled is the cause of a Run that was told to end at once.
var ErrKilled = supervisor.ErrKilled

// ErrStopped is the cause of a Run that was told to end before its processes were
// started.
var ErrStopped = errors.New("stopped before the training went on")

// Run trains until the steps are done, or until Stop, and returns when nothing
// of the cluster is left.
func Run(ctx context.Context, o Options) (err error) {
	c := &cluster{Options: o, processes: map[string]*process.Process{}, ended: make(chan *process.Process)}
	if c.limits == nil {
		c.limits = func() cgroup.Limits { return cgroup.Read(os.DirFS("/")) }
	}
	c.serialize()
	starting, started := c.untilStopped(ctx)
	defer started()
	defer func() {
		if c.services != nil {
			err = errors.Join(err, c.services.close(err == nil && c.stored))
		}
	}()
	if err := c.begin(starting); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.role.Close()) }()
	started()
	c.starter = process.NewStarter()
	defer c.starter.Close() // kills what still lives
	return c.run(ctx)
}

// serialize lets one goroutine at a time tell something.
func (c *cluster) serialize() {
	var telling sync.Mutex
	tell, watch := c.Tell, c.Watch
	c.Tell = func(text string) {
		telling.Lock()
		defer telling.Unlock()
		if tell != nil {
			tell(text)
		}
	}
	c.Watch = func(s wire.Status) {
		telling.Lock()
		defer telling.Unlock()
		if watch != nil {
			watch(s)
		}
	}
}

// untilStopped is the context of the start, which a stop breaks off: there is no step
// to finish yet.
func (c *cluster) untilStopped(ctx context.Context) (starting context.Context, started func()) {
	starting, cancel := context.WithCancelCause(ctx)
	go func() { // ends with the start
		select {
		case <-c.Stop:
			cancel(ErrStopped)
		case <-c.Kill:
			cancel(ErrKilled)
		case <-starting.Done():
		}
	}()
	return starting, func() { cancel(nil) }
}

// begin brings about what the processes need.
func (c *cluster) begin(ctx context.Context) (err error) {
	c.services, err = openServices(c.Dir, func(s *services) error {
		if c.Shared != nil {
			return waiting.For(ctx, c.Tell, "etcd and NATS to take the run", joinWithin,
				func(ctx context.Context) error { return s.join(ctx, c.Spec, *c.Shared) })
		}
		return waiting.For(ctx, c.Tell, "the embedded etcd and NATS to start", startWithin,
			func(ctx context.Context) error { return s.start(ctx, c.Spec, c.Log) })
	})
	if err != nil {
		return err
	}
	if c.Joined != nil {
		c.Joined(c.services.endpoint)
	}
	if c.environ, err = c.services.endpoint.Environ(); err != nil {
		return err
	}
	c.role, err = role.Start(ctx, role.Options{
		Role: wire.RoleUp, ID: wire.IDUp, Endpoint: c.services.endpoint, Energy: c.Dir.Energy(), Phase: energy.Idle, Lingers: true, Log: c.Log,
		Used: process.ChildrenTime(), // what was measured to settle the spec, as yet in nobody's account
		Say:  c.Tell,
	})
	return err
}

// run supervises the processes while the meter runs. The checkpoint service gets what the
// meter has left when all else is done, and is the last to go: it holds the ledger.
func (c *cluster) run(ctx context.Context) error {
	defer c.killAll()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ending, metered := make(chan struct{}), make(chan error, 1)
	go func() { metered <- c.role.Run(ctx, func(context.Context) error { <-ending; return nil }) }()
	c.flush = sync.OnceValue(func() error { close(ending); return <-metered })
	err := c.loop(ctx)
	if failed := c.flush(); !errors.Is(err, failed) {
		err = errors.Join(err, failed)
	}
	return err
}
