package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch/embedded"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/launch/preflight"
	"github.com/gramme-project/gramme/launch/preflight/network"
	"github.com/gramme-project/gramme/runspec"
)

// checkWithin bounds one check: a worker that is loaded from a slow disk takes a while.
const checkWithin = time.Minute

// check is one check of doctor.
type check struct {
	name string
	hint string
	// look returns its finding; an error is a fault. ErrAdvice in its chain makes it a
	// remark.
	look func(ctx context.Context) (string, error)
}

// errAdvice marks a finding that works, but not as well as it could.
var errAdvice = errors.New("")

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "check whether runs work on this machine",
		Args:  cobra.NoArgs,
	}
	run := runFlag(c)
	host := c.Flags().String("host", "", "`address` by which workers on other machines reach this one; default: the address of this machine's name")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c.Context())
		defer stop()
		d := doctor{c: c, dir: rundir.Dir(*run), host: *host}
		if err := d.look(ctx); err != nil {
			return err
		}
		if d.failed > 0 {
			return exit.Wrap(exit.Resource, "", fmt.Errorf("doctor: %d of %s failed", d.failed, words.Several(d.all, "check")))
		}
		return nil
	}
	return c
}

// levels are how doctor marks a line.
var levels = map[preflight.Level]string{preflight.OK: "ok", preflight.Note: "note", preflight.Warning: "warn", preflight.Failure: "FAIL"}

// doctor is one call of `gramme doctor`.
type doctor struct {
	c           *cobra.Command
	dir         rundir.Dir
	host        string
	all, failed int
}

// look makes all checks: those of `up` for the run, or for one with default settings,
// and those of the services that `up` starts.
func (d *doctor) look(ctx context.Context) error {
	spec, _, err := runspec.New()
	if err != nil {
		return err
	}
	if stored, err := runspec.Read(d.dir.Spec()); err == nil {
		spec = stored
	}
	if err := d.try(ctx, systemChecks()); err != nil {
		return err
	}
	facts := machine.Look(d.dir)
	for _, f := range preflight.Check(facts, needOf(d.dir, spec, false)).Findings {
		d.show(f)
	}
	return d.try(ctx, serviceChecks(d.host, facts.Sockets))
}

// try makes checks one by one, until it is interrupted.
func (d *doctor) try(ctx context.Context, checks []check) error {
	for _, k := range checks {
		var found string
		err := waiting.For(ctx, saying(d.c), "the check of the "+k.name, checkWithin, func(ctx context.Context) (err error) {
			found, err = k.look(ctx)
			return err
		})
		if ctx.Err() != nil {
			return exit.Wrap(exit.Interrupted, "", errInterrupted)
		}
		d.show(k.finding(found, err))
	}
	return nil
}

func (d *doctor) show(f preflight.Finding) {
	d.all++
	if f.Level == preflight.Failure {
		d.failed++
	}
	fmt.Fprintf(d.c.OutOrStdout(), "%-5s %s\n", levels[f.Level], f)
	if f.Level != preflight.OK && f.Hint != "" {
		fmt.Fprintf(d.c.OutOrStdout(), "      %s\n", f.Hint)
	}
}

// finding is the result of a check.
func (k check) finding(found string, err error) preflight.Finding {
	switch {
	case err == nil:
		return preflight.Finding{Name: k.name, Text: found}
	case errors.Is(err, errAdvice):
		return preflight.Finding{Name: k.name, Level: preflight.Note, Text: err.Error()}
	}
	return preflight.Finding{Name: k.name, Level: preflight.Failure, Text: err.Error(), Hint: cmp.Or(k.hint, exit.Hint(err))}
}

func systemChecks() []check {
	return []check{
		{"system", "Gramme runs on Linux on x86-64", lookSystem},
		{"processor", "", lookProcessor},
		{"worker", "", lookWorker},
	}
}

// serviceChecks test the network and the services that `up` starts; etcd only if unix
// sockets work.
func serviceChecks(host, sockets string) []check {
	return []check{
		{"loopback", "", network.FromEnviron().Loopback},
		{"proxy", "", network.FromEnviron().SOCKS},
		{"host", "", func(ctx context.Context) (string, error) { return lookHost(ctx, host) }},
		{"NATS", "another program may prevent listening on loopback", lookNATS},
		{"etcd", "", func(ctx context.Context) (string, error) { return lookEtcd(ctx, sockets) }},
		{"energy counters", "", lookCounters},
	}
}

func lookSystem(context.Context) (string, error) {
	found := runtime.GOOS + "/" + runtime.GOARCH
	if found != "linux/amd64" {
		return "", errors.New(found)
	}
	return found, nil
}

func lookProcessor(context.Context) (string, error) {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	var has []string
	flags := " " + strings.ReplaceAll(string(b), "\n", " ") + " "
	for _, f := range []string{"avx2", "avx512f", "avx512_bf16", "amx_bf16"} {
		if strings.Contains(flags, " "+f+" ") {
			has = append(has, f)
		}
	}
	return fmt.Sprintf("%s, %s", words.Several(runtime.NumCPU(), "thread"), strings.Join(has, " ")), nil
}

func lookWorker(ctx context.Context) (string, error) {
	path, err := process.SiblingProgram(workerBinary)
	if err != nil {
		return "", exit.Wrap(exit.Resource, buildHint, err)
	}
	version, err := workerVersion(ctx, path)
	if err != nil {
		return "", err
	}
	return version, sameBuild(version)
}

// lookHost finds the address of this machine for other machines. Without --host it
// matters only to runs on several machines.
func lookHost(ctx context.Context, host string) (string, error) {
	if host != "" {
		return network.FromEnviron().Host(ctx, host)
	}
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	found, err := network.FromEnviron().Host(ctx, name)
	if err != nil && ctx.Err() == nil {
		return "", fmt.Errorf("%w: workers on other machines need --host ADDRESS; a run on this machine alone does not%w", err, errAdvice)
	}
	return found, err
}

func lookNATS(context.Context) (string, error) {
	n, err := embedded.StartNATS("doctor")
	if err != nil {
		return "", err
	}
	n.Close()
	return "listens on loopback", nil
}

func lookEtcd(ctx context.Context, sockets string) (string, error) {
	if sockets == "" {
		return "", errors.New("not tried without unix sockets")
	}
	dir, err := os.MkdirTemp(sockets, "g-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	e, err := embedded.StartEtcd(ctx, embedded.EtcdOptions{DataDir: dir + "/data", SocketDir: dir, Log: zap.NewNop()})
	if err != nil {
		return "", err
	}
	e.Close()
	return "listens on a unix socket", nil
}

func lookCounters(ctx context.Context) (string, error) {
	count, still := meter.ActiveCounters(ctx)
	switch {
	case len(count) > 0 && len(still) > 0:
		return fmt.Sprintf("RAPL: %s; %s stood still for half a second", strings.Join(count, ", "), strings.Join(still, ", ")), nil
	case len(count) > 0:
		return "RAPL: " + strings.Join(count, ", "), nil
	case len(still) > 0:
		return "", fmt.Errorf("RAPL is there, but %s stood still for half a second: if it stays so, energy is estimated from processor time and memory%w",
			strings.Join(still, ", "), errAdvice)
	}
	return "", fmt.Errorf("none can be read, so energy is estimated from processor time and memory%w", errAdvice)
}
