package launch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
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
	hurry    time.Duration        // of tests: the longest pause before a start; 0: as long as it is
	patience time.Duration        // of tests, with workers that do not end; 0: leaveFor
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
	stop     stop
	cause    error // why the run ends before its time; nil: it does not
	advance  advance
	shortage shortage
	oom      oomKills
	refused  map[string]int // process of each worker of which it was told that it is refused
	deposed  bool           // another process has the run: only what this one started ends
	replaced bool           // it was told that another program lies where the run's did
	warned   bool           // the status shows warnings of this process
	scales   uint64         // newest scale that was acted on
	status   wire.Status
	done     bool      // the last step is in a checkpoint
	over     time.Time // when the status said so first
	progress time.Time // when the status last showed any
	silent   silence   // that of the coordinator since the start
}

// ErrStopped is the cause of a Run that was told to end before its processes were
// started.
var ErrStopped = errors.New("stopped before the training went on")

// Run trains until the steps are done, or until Stop, and returns when nothing
// of the cluster is left.
func Run(ctx context.Context, o Options) (err error) {
	c := &cluster{Options: o, ends: make(chan *child), starts: make(chan *child), progress: time.Now(), refused: map[string]int{}}
	if c.limits == nil {
		c.limits = readLimits
	}
	c.oom = newOOMKills(func() uint64 { return c.limits().OOMKills })
	c.serialize()
	starting, started := c.untilStopped(ctx)
	defer started()
	defer func() {
		if c.services != nil {
			err = gather(err, c.services.close(err == nil && c.done))
		}
	}()
	if err := c.begin(starting); err != nil {
		return err
	}
	defer func() { err = gather(err, c.role.Close()) }()
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
	if c.Shared != nil {
		err = waiting.For(ctx, c.Tell, "etcd and NATS to take the run", joinWithin, func(ctx context.Context) error {
			c.services, err = joinServices(ctx, c.Dir, c.Spec, *c.Shared)
			return err
		})
	} else {
		err = waiting.For(ctx, c.Tell, "the embedded etcd and NATS to start", startWithin, func(ctx context.Context) error {
			c.services, err = startServices(ctx, c.Dir, c.Spec.Run, c.Log)
			return err
		})
	}
	if err != nil {
		c.services = nil // both have tidied up
		return err
	}
	if c.Shared == nil {
		err := waiting.For(ctx, c.Tell, "the embedded etcd to answer", startWithin, c.publishSpec)
		if err != nil {
			return err
		}
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

// wanted is how many workers are started.
func (c *cluster) wanted() int { return cmp.Or(c.Workers, c.Spec.Workers.Max) }

func (c *cluster) run(ctx context.Context) error {
	service := func(role wire.Role) *child {
		name := string(role)
		return c.child(role, name, c.Gramme, name, "--run", string(c.Dir), "--id", name)
	}
	store, coordinator := service(wire.RoleCheckpoint), service(wire.RoleCoordinator)
	c.children = []*child{store, coordinator}
	for range c.wanted() {
		c.children = append(c.children, c.newWorker())
	}
	defer c.killAll()
	// The meter runs until all else is done; then the checkpoint service gets what
	// it has left, and is the last to go: it holds the ledger.
	ending, metered := make(chan struct{}), make(chan error, 1)
	go func() { metered <- c.role.Run(ctx, func(context.Context) error { <-ending; return nil }) }()
	last, err := c.train(ctx, coordinator)
	close(ending)
	if err != nil {
		return gather(err, <-metered)
	}
	err = c.attend(ctx, func(ctx context.Context) error {
		return waiting.For(ctx, c.Tell, "the checkpoint service to take the last energy readings", role.FlushWithin, func(context.Context) error { return <-metered })
	})
	if err != nil {
		return err
	}
	if err := c.finish(ctx, store); err != nil || c.cause != nil {
		return gather(c.cause, err)
	}
	return last
}

// train returns what came of the last call, and what ended the training else.
func (c *cluster) train(ctx context.Context, coordinator *child) (last, err error) {
	for _, ch := range c.children {
		if err := c.start(ch); err != nil {
			return nil, err
		}
	}
	err = c.supervise(ctx)
	if err != nil && !errors.Is(err, ErrKilled) && ctx.Err() == nil {
		err = c.rescue(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return c.conclude(ctx, coordinator)
}
