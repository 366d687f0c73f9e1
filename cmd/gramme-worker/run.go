//go:build cgo

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/allreduce/natslink"
	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/bus/natsbus"
	"github.com/gramme-project/gramme/internal/cachedir"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/launch/role"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/worker"
	"github.com/gramme-project/gramme/worker/bert"
)

func runCommand() *cobra.Command {
	name := "run"
	if self() == outer {
		name = "worker"
	}
	c := &cobra.Command{
		Use:   name,
		Short: "train as a member of a cluster",
		Long: `Registers with a cluster and trains until the run ends. The cluster is given by --etcd
and --nats, as gramme up prints them, by GRAMME_ENDPOINT, or by the folder of a run on
this machine. If the worker has no corpus or no state, it fetches them over the network.
SIGTERM, Ctrl-C or a closed terminal let the worker leave: it finishes the step and exits.`,
		Args: cobra.NoArgs,
	}
	id := c.Flags().String("id", "", "`name` of this worker, unique in the run; default: host and a number")
	dir := c.Flags().String("run", "", "`folder` of the run, if it is on this machine; otherwise the corpus comes over the network")
	host := c.Flags().String("host", "", "`address` by which other workers reach this one; default: the local address of its connection to NATS")
	device := c.Flags().String("device", "", "where this worker computes: cpu or cuda; default: as the run has set. The bits differ on another device, and only a run with --mixed admits the worker")
	threads := c.Flags().Int("threads", 0, "compute threads; default: as many as the run has set. Where libtorch's own operations compute, the bits differ with another number, and only a run with --mixed admits the worker")
	cluster := clusterflags.AddJoin(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *threads < 0 {
			return exit.Wrap(exit.Usage, "give 1 or more, or leave it out", fmt.Errorf("--threads: %d is negative", *threads))
		}
		if *device != "" && !slices.Contains(runspec.Devices, *device) {
			return exit.Wrap(exit.Usage, "give cpu or cuda, or leave it out", fmt.Errorf("--device %s: no such device", *device))
		}
		return train(c.Context(), cluster, *id, machine{rundir.Dir(*dir), *host, *threads, *device})
	}
	return c
}

// machine holds the flags about the machine of a worker.
type machine struct {
	dir     rundir.Dir // "": the run's folder is elsewhere
	host    string     // "": that of the connection to NATS
	threads int        // 0: those of the run
	device  string     // "": that of the run
}

// leaving returns a channel that is closed by the first termination signal, and
// a context that the second ends.
func leaving(ctx context.Context) (<-chan struct{}, context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	drain := make(chan struct{})
	stop := process.OnTermination(func(n int) {
		if n == 1 {
			close(drain)
		} else {
			cancel()
		}
	})
	return drain, ctx, func() { stop(); cancel() }
}

// untilDrained is the context of the start: there is no step to finish yet, so that
// the first signal ends it, as ErrDrained.
func untilDrained(ctx context.Context, drain <-chan struct{}) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // ends with the start
		select {
		case <-drain:
			cancel(worker.ErrDrained)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func train(ctx context.Context, cluster *clusterflags.Flags, id string, at machine) error {
	drain, ctx, stop := leaving(ctx)
	defer stop()
	starting, begun := untilDrained(ctx, drain)
	defer begun()
	err := join(ctx, starting, cluster, id, at, drain)
	if errors.Is(err, worker.ErrDrained) {
		return nil
	}
	return err
}

// join begins the process, whose start ends with starting, and lets it train.
func join(ctx, starting context.Context, cluster *clusterflags.Flags, id string, at machine, drain <-chan struct{}) (err error) {
	e, err := cluster.Find(starting, say, at.dir)
	if err != nil {
		return err
	}
	readings := at.dir.Energy()
	if at.dir == "" {
		if readings, err = cachedir.MakeOrTemporary("runs", e.Run, "energy"); err != nil {
			return exit.Wrap(exit.Resource, cachedir.Hint, fmt.Errorf("place for energy readings: %w", err))
		}
	}
	r, err := begin(starting, id, role.Options{
		Say:  say,
		Role: wire.RoleWorker, Endpoint: e, Energy: readings, Phase: energy.Preparation, HostCounters: true, Computes: true, Device: at.device,
		SendsPending: at.dir == "", // otherwise the checkpoint service does
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	profiled, err := profile(r.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, profiled()) }()
	err = r.Run(ctx, func(ctx context.Context) error { return member(ctx, starting, r, at, drain) })
	if errors.Is(err, worker.ErrDrained) {
		r.Log.Info("drained")
	}
	if errors.Is(err, membership.ErrTaken) {
		return exit.Wrap(exit.Failure, "give another --id; the ID of a dead worker is free within seconds", err)
	}
	if refused := (*worker.RefusedError)(nil); errors.As(err, &refused) {
		return exit.Wrap(exit.Usage, "use the build, the --threads and the kind of machine of the run; a run with --mixed admits other arithmetic", err)
	}
	if errors.Is(err, shard.ErrCorrupt) {
		return exit.Wrap(exit.Data, "restore the file from a copy, or prepare the corpus again", err)
	}
	return err
}

// say tells the user what this process waits for.
func say(text string) { fmt.Fprintln(os.Stderr, text) }

// begin starts the process under its name. Without a given name it takes the first free
// one of this host, so that it sends the pending readings of an earlier process.
func begin(ctx context.Context, id string, o role.Options) (*role.Role, error) {
	if o.ID = id; id != "" {
		return role.Start(ctx, o)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	for {
		if o.ID, err = meter.FreeName(o.Energy, wire.IDOf(host)); err != nil {
			return nil, err
		}
		r, err := role.Start(ctx, o)
		if !errors.Is(err, meter.ErrInUse) { // another was quicker
			return r, err
		}
	}
}

// member prepares corpus, model and connections of the worker, and trains.
func member(ctx, starting context.Context, r *role.Role, at machine, drain <-chan struct{}) (err error) {
	var data *corpus
	if at.dir != "" {
		data, err = localCorpus(at.dir)
	} else {
		data, err = remoteCorpus(starting, r.Bus, r.Endpoint.Run, r.Log)
	}
	if err != nil {
		return err
	}
	batches, err := data.train(ctx, r.Spec)
	if err != nil {
		return err
	}
	threads := cmp.Or(at.threads, r.Spec.Threads)
	ends := hung(r.Abandon)
	spec := r.Spec
	spec.Device = cmp.Or(at.device, spec.Device)
	model_, err := newEngine(spec, data.manifest.VocabSize, threads, ends)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model_.Close()) }()
	begun := time.Now()
	print, err := model_.fingerprint()
	took := time.Since(begun)
	if err != nil {
		return fmt.Errorf("numerics fingerprint: %w", err)
	}
	if err := model_.setWeights(model.Init(model_.config, model_.layout, r.Spec.Seed)); err != nil {
		return err
	}
	host := at.host
	if host == "" {
		if host, err = ownAddress(r.Bus); err != nil {
			return err
		}
	}
	mailbox, err := natslink.Open(natslink.Options{
		Host: host, Secret: r.Endpoint.Secret, TLS: r.Endpoint.Encrypted(), Dial: endpoint.Dial, Boot: r.BootID,
		Silence: 4 * r.Spec.Patience(), // frames queued before a ping are work of the network
	})
	if err != nil {
		return err
	}
	defer mailbox.Close()
	links := &worker.RoutedLinks{
		DirectLinks: worker.DirectLinks{Run: r.Endpoint.Run, Own: mailbox},
		Relay:       &natslink.Relay{Dial: r.Endpoint.Dialer("ring of " + r.ID)},
	}
	defer links.Close()
	bulk := r.Bus
	if r.Endpoint.Shared { // otherwise all workers are on this machine
		if bulk, err = r.Endpoint.DialBus(ctx, "bulk of "+r.ID); err != nil {
			return err
		}
		defer bulk.Close()
	}
	reachability, err := worker.NewReachabilityProbe(r.Bus, r.Endpoint.Run, mailbox, r.Endpoint.Secret, r.Log)
	if err != nil {
		return err
	}
	defer reachability.Close()
	route := reachability.Route
	if r.Spec.Ring != runspec.RingAuto || !r.Endpoint.Shared { // otherwise all workers are on this machine
		route = nil
	}
	r.Log.Info("ready", zap.String("fingerprint", print), zap.String("mailbox", mailbox.URL()), zap.Int("parameters", model_.layout.Parameters()))
	return worker.Run(ctx, worker.Config{
		Registration: wire.Registration{
			ID: r.ID, Host: r.Host, BootID: r.BootID, PID: os.Getpid(), Device: spec.Device, Threads: threads,
			Build: buildinfo.Version, SpecHash: r.Spec.Hash(), CorpusHash: data.manifest.Digest(), Fingerprint: print,
		},
		Spec: r.Spec, Layout: model_.layout, Trainer: model_, Batch: batches.Batch, Store: r.Store, Bus: r.Bus, Bulk: bulk,
		Links: links, Route: route, Meter: r.Meter,
		Cores: min(threads, runtime.NumCPU()), Log: r.Log, Drain: drain, Stays: parent.Supervised(),
		Expected: time.Duration(float64(took) * bert.FingerprintWork(r.Spec.Batch.Rows, r.Spec.MaxSeq, model_.config.MaxPositions)),
		Hung:     func(e *worker.HungError) { ends(e) },
	})
}

// ownAddress is the address of this machine in the network of NATS.
func ownAddress(conn *natsbus.Conn) (string, error) {
	host, _, err := net.SplitHostPort(conn.LocalAddr())
	if err != nil {
		return "", exit.Wrap(exit.Usage, "give --host", fmt.Errorf("address of this machine: %w", err))
	}
	return host, nil
}
