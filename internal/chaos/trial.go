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
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/runspec"
)

// Options say what to try, and where.
type Options struct {
	Plan   Plan
	File   string // of the plan, "" without
	Dir    string // holds both runs
	Gramme string // the program
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
	cluster   *cluster
	watch     *watch
	sizes     *sizes
	wanted    int // workers
	report    Report
}

// Run trains undisturbed where that run is not there yet, then disturbed, and
// reports what held. An error is what kept it from trying. When it returns nothing
// runs any more.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Plan.Validate(); err != nil {
		return nil, exit.Wrap(exit.Usage, "docs/chaos.md says what a plan holds", err)
	}
	t := &trial{
		Options: o, calm: rundir.Dir(filepath.Join(o.Dir, "undisturbed")), dir: rundir.Dir(filepath.Join(o.Dir, "disturbed")), sizes: newSizes(),
		report: Report{
			Plan: o.File, Seed: o.Plan.Seed, Run: o.Dir, Began: time.Now(), Workers: o.Plan.Workers.String(), Processors: runtime.NumCPU(),
			Faults: []Record{}, Kinds: []Summary{}, Growth: []Growth{}, Checks: []Check{},
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
func (t *trial) newCluster(dir rundir.Dir, name string, args []string) *cluster {
	return &cluster{
		dir: dir, gramme: t.Gramme, args: args, token: rand.Text(), log: filepath.Join(t.Dir, name+".log"), starter: process.NewStarter(),
	}
}

// disturbed trains with faults, and judges.
func (t *trial) disturbed(ctx context.Context) error {
	t.watch, t.wanted = newWatch(t.dir), t.Plan.Workers.Max
	t.cluster = t.newCluster(t.dir, "disturbed", []string{
		"up", "--run", string(t.dir), "--config", t.calm.Spec(), "--run-id", runspec.NewRunID(), "--workers", t.Plan.Workers.String(), t.calm.Corpus(),
	})
	faults := Draw(t.Plan)
	t.Say(fmt.Sprintf("training %d steps with %s workers and %d faults of seed %d: %s", t.spec.Steps, t.Plan.Workers, len(faults), t.Plan.Seed, t.dir))
	following, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { t.watch.run(following) })
	t.watch.started()
	err := t.cluster.start()
	if err == nil {
		err = t.drive(ctx, faults)
	}
	stop()
	group.Wait()
	t.summarize()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), t.cluster.close())
	}
	if err != nil {
		t.fail("the run goes on", err)
	} else {
		t.check(nothingLeft(t.dir, t.cluster.token, slices.Sorted(maps.Keys(t.watch.hosts)), 2*time.Second)...)
		t.judge()
	}
	return t.cluster.close()
}

// summarize makes numbers of what was seen.
func (t *trial) summarize() {
	r := &t.report
	r.Kinds, r.Growth = Summarize(r.Faults), t.sizes.growths()
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
	t.check(stable(t.report.Growth))
}
