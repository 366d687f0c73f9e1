package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/embedded"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/preflight/network"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/waiting"
	"go.uber.org/zap"
)

// checkWithin bounds one check: a worker that is loaded from a slow disk takes a while.
const checkWithin = time.Minute

// minimumDisk is the free space under which doctor complains.
const minimumDisk = 2 << 30

// check is one thing that doctor looks at.
type check struct {
	name string
	hint string
	// look returns what is there; an error is a fault. ErrAdvice in its chain
	// makes it a remark.
	look func(ctx context.Context) (string, error)
}

// errAdvice marks what works, but not as well as it could.
var errAdvice = errors.New("")

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "look for what keeps a run from working on this machine",
		Args:  cobra.NoArgs,
	}
	run := runFlag(c)
	host := c.Flags().String("host", "", "`address` of this machine that workers of others are to reach; default: that of its name")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c.Context())
		defer stop()
		faults, all := 0, checks(*run, *host)
		for _, k := range all {
			var found string
			err := waiting.For(ctx, saying(c), "the check of the "+k.name, checkWithin, func(ctx context.Context) (err error) {
				found, err = k.look(ctx)
				return err
			})
			if ctx.Err() != nil {
				return exit.Wrap(exit.Interrupted, "", errInterrupted)
			}
			switch {
			case err == nil:
				fmt.Fprintf(c.OutOrStdout(), "ok    %s: %s\n", k.name, found)
			case errors.Is(err, errAdvice):
				fmt.Fprintf(c.OutOrStdout(), "note  %s: %s\n", k.name, err)
			default:
				faults++
				fmt.Fprintf(c.OutOrStdout(), "FAIL  %s: %v\n      %s\n", k.name, err, cmp(k.hint, exit.Hint(err)))
			}
		}
		if faults > 0 {
			return exit.Wrap(exit.Resource, "", fmt.Errorf("doctor: %d of %d checks failed", faults, len(all)))
		}
		return nil
	}
	return c
}

func checks(run, host string) []check {
	return []check{
		{"system", "Gramme runs on Linux on x86-64", lookSystem},
		{"processor", "", lookProcessor},
		{"worker", "build it with scripts/setup", lookWorker},
		{"disk", "free some space, or give --run another place", func(context.Context) (string, error) { return lookDisk(run) }},
		{"loopback", "", network.FromEnviron().Loopback},
		{"proxy", "", network.FromEnviron().SOCKS},
		{"host", "", func(ctx context.Context) (string, error) { return lookHost(ctx, host) }},
		{"NATS", "another program may forbid listening on loopback", lookNATS},
		{"etcd", "the folder for temporary files must allow unix sockets", lookEtcd},
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
	return fmt.Sprintf("%d threads, %s", runtime.NumCPU(), strings.Join(has, " ")), nil
}

func lookWorker(ctx context.Context) (string, error) {
	path, err := process.Beside(workerBinary)
	if err != nil {
		return "", err
	}
	version, err := workerVersion(ctx, path)
	if err != nil {
		return "", err
	}
	return version, sameBuild(version)
}

// versionWithin bounds the start of the worker's binary: libtorch may come from a slow
// disk.
const versionWithin = time.Minute

// workerVersion starts the worker's binary, which shows that libtorch is there,
// and asks for its version.
func workerVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionWithin, fmt.Errorf("no answer within %s", versionWithin))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s does not start: %w", path, context.Cause(ctx))
	}
	if err != nil {
		return "", fmt.Errorf("%s does not start: %w: %s", path, err, strings.TrimSpace(string(out)))
	}
	f := strings.Fields(string(out))
	if len(f) == 0 {
		return "", fmt.Errorf("%s tells no version", path)
	}
	return f[len(f)-1], nil
}

// sameBuild asks for a worker of this build: the run would not admit another, and
// wait for one for ever.
func sameBuild(version string) error {
	if version != buildinfo.Version {
		return fmt.Errorf("%s is of version %s, gramme of %s", workerBinary, version, buildinfo.Version)
	}
	return nil
}

func lookDisk(run string) (string, error) {
	dir := run
	for {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	free := int64(s.Bavail) * s.Bsize
	text := fmt.Sprintf("%.1f GB free for %s", float64(free)/1e9, run)
	if free < minimumDisk {
		return "", errors.New("only " + text)
	}
	return text, nil
}

// lookHost looks for the address at which others find this machine. Without one that
// was asked for, it matters only to runs of several machines.
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
		return "", fmt.Errorf("%w: workers of other machines need --host ADDRESS; a run of this machine alone does not%w", err, errAdvice)
	}
	return found, err
}

func lookNATS(context.Context) (string, error) {
	n, err := embedded.StartNATS(embedded.NATSOptions{Secret: "doctor"})
	if err != nil {
		return "", err
	}
	n.Close()
	return "listens on loopback", nil
}

func lookEtcd(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "gramme-doctor-")
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

func lookCounters(context.Context) (string, error) {
	zones, err := filepath.Glob("/sys/class/powercap/intel-rapl:*/energy_uj")
	if err != nil {
		return "", err
	}
	for _, z := range zones {
		if f, err := os.Open(z); err == nil {
			_ = f.Close() // only to see whether it opens
			return fmt.Sprintf("%d RAPL zones", len(zones)), nil
		}
	}
	return "", fmt.Errorf("none can be read, so energy is estimated from processor time and memory%w", errAdvice)
}
