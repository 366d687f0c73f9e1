// Package role is what the processes of a run have in common: their connections
// to etcd and NATS, the run's spec, a log, and a meter whose readings go to the
// checkpoint service.
//
// It guarantees that Run returns only after the meter's last reading is durable at the
// checkpoint service or, if that cannot be reached, in the process's own write-ahead log.
// The next process of that name sends such pending readings, or the process that sends
// those of the folder.
package role

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/natsbus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/logging"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// Options say which process this is.
type Options struct {
	Role     wire.Role // part of the log and of the meter's name
	ID       string
	Endpoint endpoint.Endpoint
	Energy   string // folder under which write-ahead logs of readings lie
	Phase    energy.Phase
	// HostCounters lets this process own the energy counters of its host.
	HostCounters bool
	// Computes says that this process uses a device: Device, or that of the run.
	Computes bool
	Device   string
	// Used is processor time of other processes that counts as this one's, before its
	// start.
	Used time.Duration
	// Append, if not nil, takes the readings instead of the checkpoint service.
	Append func(ctx context.Context, records []energy.Record) error
	// Lingers says that the process goes on for a while after Run, which counts, too.
	Lingers bool
	// SendsPending lets this process send the pending readings of others under Energy,
	// where no checkpoint service does.
	SendsPending bool
	Log          *zap.Logger // nil: to standard error, as the spec says
	// Say tells what the start waits for; nil: nobody hears it.
	Say waiting.Say
}

// servicesWithin bounds how long the start of a process looks for etcd, and for NATS.
// It is longer than a life that counts as an early end where the process is started
// again: an outage is outlived by starting again and again.
const servicesWithin = time.Minute

const servicesHint = "check whether etcd and NATS answer there: see the log of `gramme up`, or ask their operator"

// Role is a process of a run.
type Role struct {
	Options
	Host, BootID, Incarnation string
	Spec                      runspec.Spec
	Bus                       *natsbus.Conn
	etcd                      *etcdstore.Store
	Store                     membership.Store
	Meter                     *meter.Meter
}

// Start connects the process. Close ends what it began.
func Start(ctx context.Context, o Options) (r *Role, err error) {
	r = &Role{Options: o, Host: meter.Host(), BootID: meter.BootID(), Incarnation: strings.ToLower(rand.Text()[:10])}
	if err := wire.CheckID(o.Role, o.ID); err != nil {
		return nil, exit.Wrap(exit.Usage, "give another --id", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
			r = nil
		}
	}()
	err = r.await(ctx, "NATS to answer", func(ctx context.Context) error {
		r.Bus, err = r.Endpoint.DialBus(ctx, string(r.Role)+" "+r.ID)
		return err
	})
	if err != nil {
		return r, exit.Wrap(exit.Failure, servicesHint, err)
	}
	err = r.await(ctx, "etcd to answer", func(ctx context.Context) error {
		r.etcd, err = etcdstore.Dial(ctx, r.Endpoint)
		return err
	})
	if err != nil {
		return r, exit.Wrap(exit.Failure, servicesHint, err)
	}
	err = r.await(ctx, "etcd to tell the run's spec", func(ctx context.Context) error {
		r.Spec, err = runspec.Stored(ctx, r.etcd)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("read the run's spec: %w", err)
	}
	if r.Log == nil {
		if r.Log, err = logging.New(logging.Config(r.Spec.Log), string(o.Role), o.ID); err != nil {
			return r, err
		}
	}
	r.Store = r.etcd.WithLog(r.Log)
	send := o.Append
	if send == nil {
		send = r.send
	}
	if r.Phase == "" {
		r.Phase = energy.Idle
	}
	var sources []meter.Source
	if o.Computes && cmp.Or(o.Device, r.Spec.Device) == runspec.DeviceCUDA {
		sources = append(sources, meter.Absent("gpu", "the GPU was not metered: no counter of it is read yet"))
	}
	r.Meter, err = meter.Open(meter.Options{
		Run: o.Endpoint.Run, Process: o.ID, Incarnation: r.Incarnation, Host: r.Host, BootID: r.BootID,
		Dir: filepath.Join(o.Energy, o.ID), CPUWattsPerCore: r.Spec.Energy.CPUWattsPerCore, RAMWattsPerGB: r.Spec.Energy.RAMWattsPerGB, HostCounters: o.HostCounters, Sources: sources, Used: o.Used,
		Send: send, Log: r.Log.Sugar().Infof,
	})
	if err != nil {
		return r, err
	}
	r.Meter.Phase(r.Phase, 0, 0)
	return r, nil
}

// await waits for what the start needs.
func (r *Role) await(ctx context.Context, what string, f func(ctx context.Context) error) error {
	say := r.Say
	if say == nil {
		say = func(string) {}
	}
	return waiting.For(ctx, say, what, servicesWithin, f)
}

// Beat tells the coordinator once a second, until ctx ends, that a process lives
// which is no worker.
func (r *Role) Beat(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		b := wire.ProcessBeat{Role: r.Role, ID: r.ID, PID: os.Getpid(), Host: r.Host, State: wire.ProcessRunning, Goroutines: runtime.NumGoroutine()}
		joules, watts := r.Meter.Totals()
		b.Joules, b.Watts = number.Float(joules), number.Float(watts)
		if err := bus.Publish(r.Bus, wire.SubjectsOf(r.Endpoint.Run).Process(), b); err != nil {
			r.Log.Debug("heartbeat", zap.Error(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// FlushWithin bounds how long the end of a process waits for the checkpoint
// service. What it could not send stays in the write-ahead log.
const FlushWithin = 8 * time.Second

// sendWithin bounds one request of it: a service that ends with one in hand never
// answers it, and counts what comes again once.
const sendWithin = 2 * time.Second

// Run calls f with the meter running, and then sends what is left to send.
func (r *Role) Run(ctx context.Context, f func(ctx context.Context) error) error {
	metering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	metered := make(chan error, 1)
	go func() { metered <- r.Meter.Run(metering) }()
	pendingSent := make(chan struct{})
	go func() { defer close(pendingSent); r.sendPending(metering) }()
	failed := f(ctx)
	r.Meter.Phase(energy.Idle, 0, 0)
	flushing, cancel := context.WithTimeout(metering, FlushWithin)
	defer cancel()
	flush := r.Meter.Finish
	if r.Lingers {
		flush = r.Meter.Flush
	}
	if err := flush(flushing); err != nil {
		r.Log.Warn("the last energy readings stay in the write-ahead log", zap.Error(err))
	}
	stop()
	<-pendingSent
	return errors.Join(unlessCanceled(failed), unlessCanceled(<-metered))
}

func unlessCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// pendingRetry is the pause after a failed attempt to send pending readings.
const pendingRetry = 5 * time.Second

// sendPending sends the pending readings of processes that have ended until they are
// acknowledged: the checkpoint service may be away.
func (r *Role) sendPending(ctx context.Context) {
	for failing := false; r.SendsPending && ctx.Err() == nil; failing = true {
		n, _, err := meter.SendPending(ctx, r.Energy, r.Endpoint.Run, r.send)
		if n > 0 {
			r.Log.Info("sent pending energy readings of earlier processes", zap.Int("readings", n))
		}
		if err == nil {
			return
		}
		if !failing {
			r.Log.Warn("pending energy readings of earlier processes could not be sent; retrying", zap.Error(err))
		}
		waiting.Pause(ctx, pendingRetry)
	}
}

// send gives readings to the checkpoint service.
func (r *Role) send(ctx context.Context, records []energy.Record) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	if err := bus.Deliver(ctx, r.Bus, wire.SubjectsOf(r.Endpoint.Run).Readings(), records); err != nil {
		return fmt.Errorf("send readings: %w", err)
	}
	return nil
}

// abandonWithin bounds what Abandon does.
const abandonWithin = 2 * time.Second

// Abandon keeps the energy readings where the process is about to end without the end of
// Run and Close, for which it would wait in vain. It returns soon in any case.
func (r *Role) Abandon() {
	kept := make(chan struct{})
	go func() { // the process ends with it, or without
		defer close(kept)
		ctx, cancel := context.WithTimeout(context.Background(), abandonWithin)
		defer cancel()
		if err := r.Meter.Flush(ctx); err != nil {
			r.Log.Warn("the last energy readings stay in the write-ahead log", zap.Error(err))
		}
	}()
	select {
	case <-kept:
	case <-time.After(abandonWithin):
	}
}

// Close ends the connections.
func (r *Role) Close() (err error) {
	if r.Meter != nil {
		err = r.Meter.Close()
	}
	if r.etcd != nil {
		err = errors.Join(err, r.etcd.Close())
	}
	if r.Bus != nil {
		r.Bus.Close()
	}
	return err
}
