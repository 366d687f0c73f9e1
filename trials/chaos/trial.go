package chaos

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
	"github.com/gramme-project/gramme/trials/chaos/partition"
)

// Options say what to try, and where.
type Options struct {
	Plan   Plan
	File   string   // of the plan, "" without
	Dir    string   // holds both runs
	Gramme string   // the program
	Member []string // the command that runs a member of a trial cluster
	Corpus []string
	Say    func(text string) // what happens now
	Saw    func(Record)      // a fault is over
}

// trial is one call of Run.
type trial struct {
	Options
	calm, dir rundir.Dir // of the undisturbed run and of the disturbed one
	spec      runspec.Spec
	account   *ledger.Account // of the undisturbed run
	cluster   *supervised
	watch     *watch
	services  *cluster.Cluster // nil: they are in `gramme up`
	proxy     *partition.Proxy // nil: nothing is cut
	wanted    int              // workers
	held      sync.WaitGroup   // threads that stand still
	report    Report
}

// Run trains undisturbed where that run is not there yet, then disturbed, and
// reports what held. An error is what kept it from trying. When it returns nothing
// runs any more.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Plan.Validate(); err != nil {
		return nil, exit.Wrap(exit.Usage, "docs/chaos.md describes plans", err)
	}
	t := &trial{
		Options: o, calm: rundir.Dir(filepath.Join(o.Dir, "undisturbed")), dir: rundir.Dir(filepath.Join(o.Dir, "disturbed")),
		report: Report{
			Plan: o.File, Seed: o.Plan.Seed, Run: o.Dir, Began: time.Now(), Workers: o.Plan.Workers.String(), Services: o.Plan.Services, Processors: runtime.NumCPU(),
			Faults: []Record{}, Kinds: []Summary{}, Checks: []Check{},
		},
	}
	err := t.run(ctx)
	r := &t.report
	r.Seconds = time.Since(r.Began).Seconds()
	r.Interrupted = ctx.Err() != nil
	r.OK = err == nil && !r.Interrupted && len(r.Failures()) == 0
	if r.Interrupted && errors.Is(err, context.Canceled) {
		err = nil
	}
	return r, err
}

func (t *trial) check(checks ...Check) { t.report.Checks = append(t.report.Checks, checks...) }

// fail records something that does not hold.
func (t *trial) fail(name string, err error) { t.check(Check{name, err.Error(), false}) }

func (t *trial) run(ctx context.Context) error {
	if _, err := os.Stat(rundir.Dir(t.Dir).Spec()); err == nil {
		return exit.Wrap(exit.Usage, "give --run another folder", fmt.Errorf("%s is a run of its own", t.Dir))
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the trial: %w", err)
	}
	unlock, err := rundir.Dir(t.Dir).Lock()
	if err != nil {
		return exit.Wrap(exit.Resource, "another trial runs there", err)
	}
	defer unlock()
	if err := t.undisturbed(ctx); err != nil || len(t.report.Failures()) > 0 {
		return err
	}
	t.report.Steps = t.spec.Steps
	if err := os.RemoveAll(string(t.dir)); err != nil {
		return fmt.Errorf("begin the disturbed run: %w", err)
	}
	return t.disturbed(ctx)
}

// newCluster is a run that is not started yet.
func (t *trial) newCluster(dir rundir.Dir, name string, args []string) *supervised {
	return &supervised{
		dir: dir, gramme: t.Gramme, args: args, token: rand.Text(), log: filepath.Join(t.Dir, name+".log"), starter: process.NewStarter(),
	}
}

// disturbed trains with faults, and judges.
func (t *trial) disturbed(ctx context.Context) (err error) {
	t.watch, t.wanted = newWatch(t.dir), t.Plan.Workers.Max
	t.cluster = t.newCluster(t.dir, "disturbed", []string{
		"up", "--run", string(t.dir), "--config", t.calm.Spec(), "--run-id", runspec.NewRunID(), "--workers", t.Plan.Workers.String(), t.calm.Corpus(),
	})
	closing := func() error { return nil }
	defer func() { err = errors.Join(err, closing()) }()
	if closing, err = t.surround(ctx); err != nil {
		return err
	}
	faults := Draw(t.Plan)
	t.Say(fmt.Sprintf("training %s with %s workers and %s of seed %d: %s", words.Several(t.spec.Steps, "step"), t.Plan.Workers, words.Several(len(faults), "fault"), t.Plan.Seed, t.dir))
	following, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { t.watch.run(following) })
	t.watch.started()
	err = t.cluster.start()
	if err == nil {
		err = t.drive(ctx, faults)
	}
	stop()
	group.Wait()
	if closed := closing(); err == nil {
		err = closed
	}
	t.summarize()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), t.cluster.close())
	}
	if err != nil {
		t.fail("the run goes on", err)
	} else {
		t.check(nothingLeft(t.dir, t.cluster.token, slices.Sorted(maps.Keys(t.watch.hosts)), 10*time.Second)...)
		t.judge()
	}
	return t.cluster.close()
}

// surround starts what the disturbed run needs: services, and a proxy where its
// network is cut. It returns what ends them, once.
func (t *trial) surround(ctx context.Context) (closing func() error, err error) {
	var ends []func() error
	closing = sync.OnceValue(func() (err error) {
		for _, end := range slices.Backward(ends) {
			err = errors.Join(err, end())
		}
		return err
	})
	if t.Plan.Services == Cluster {
		dir := filepath.Join(t.Dir, "services")
		if err := os.RemoveAll(dir); err != nil {
			return closing, fmt.Errorf("start a cluster: %w", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return closing, fmt.Errorf("start a cluster: %w", err)
		}
		ends = append(ends, func() error { return os.RemoveAll(dir) })
		t.Say("starting three etcd members and three NATS servers: " + dir)
		if t.services, err = cluster.Start(ctx, cluster.Options{Dir: dir, Command: t.Member}); err != nil {
			return closing, err
		}
		ends = append(ends, t.services.Close)
		t.cluster.env = append(t.cluster.env, t.services.Environ()...)
	}
	if t.Plan.partitions() {
		dir, err := os.MkdirTemp("", "gramme-cut-") // short: it is a socket's path
		if err != nil {
			return closing, fmt.Errorf("make a place for a proxy: %w", err)
		}
		ends = append(ends, func() error { return os.RemoveAll(dir) })
		path := filepath.Join(dir, "proxy")
		if t.proxy, err = partition.Listen(path); err != nil {
			return closing, err
		}
		ends = append(ends, t.proxy.Close)
		t.cluster.env = append(t.cluster.env, endpoint.ProxyVariable+"=unix://"+path)
		t.cluster.args = append(t.cluster.args, "--host", "127.0.0.1") // which a connection to a proxy does not tell
	}
	return closing, nil
}

// summarize makes numbers of what was seen.
func (t *trial) summarize() {
	r := &t.report
	r.Kinds = Summarize(r.Faults)
	times := stepTimes(t.watch.history.seen)
	r.StepMS = float64(Quantile(times, 0.5).Microseconds()) / 1000
	r.StepP99MS = float64(Quantile(times, 0.99).Microseconds()) / 1000
}

// judge holds the disturbed run, which has ended, against the undisturbed one.
func (t *trial) judge() {
	for _, file := range []struct {
		name string
		sum  *string
	}{{modelFile, &t.report.Model}, {optimizerFile, &t.report.Optimizer}} {
		c, sum := sameBits(file.name, t.calm, t.dir)
		t.check(c)
		*file.sum = sum
	}
	c, account := audit("ledger and checkpoints verify", t.dir)
	t.check(c)
	if account != nil {
		lost, falls := drops(t.watch.history.seen)
		t.check(counted(account, t.spec, lost, falls)...)
		t.report.Energy = energyOf(t.account, account)
	}
	slowest := time.Duration(t.report.StepP99MS * float64(time.Millisecond))
	t.check(outages(t.report.Faults, t.spec.Ring, slowest)...)
}
