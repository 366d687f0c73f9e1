package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gramme-project/gramme/energy/meter"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

const (
	// joinWithin bounds the start on services that others run; it is longer than
	// a lock that a dead process elsewhere left.
	joinWithin = 30 * time.Second
	// lockTTL is how long the lock of a run outlives a process that vanished.
	lockTTL = 10 * time.Second
	// serviceWithin bounds the search for NATS or etcd alone.
	serviceWithin = 10 * time.Second
	// leaveWithin bounds what is tidied up there in the end.
	leaveWithin = 5 * time.Second
	// payload is the least that a message must be able to carry.
	payload = wire.MaxChunk + 64<<10
)

const etcdHint = "check that etcd answers there, and that it accepts the certificates"

// join begins, or goes on with, a run on services that others run. What an earlier start
// left there stays as far as it is of the run, its plan above all: generations go on. What
// that start was asked to do is forgotten.
func (s *services) join(ctx context.Context, spec runspec.Spec, e endpoint.Endpoint) error {
	if err := os.MkdirAll(s.dir.Cluster(), 0o700); err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	if err := takesMessages(ctx, e); err != nil {
		return err
	}
	folder, err := filepath.Abs(string(s.dir))
	if err != nil {
		return fmt.Errorf("start cluster: %w", err)
	}
	if s.store, err = etcdstore.Dial(ctx, e); err != nil {
		return exit.Wrap(exit.Resource, etcdHint, err)
	}
	s.lock, err = s.store.LockRun(ctx, membership.Holder{
		Host: meter.Host(), Machine: meter.MachineID(), Boot: meter.BootID(), Folder: folder, PID: os.Getpid(),
	}, lockTTL)
	if errors.Is(err, membership.ErrLocked) {
		return locked(err)
	}
	if err != nil {
		return exit.Wrap(exit.Resource, etcdHint, err)
	}
	s.keep(context.WithoutCancel(ctx))
	if err := s.sameRun(ctx, spec); err != nil {
		return err
	}
	if e.Secret, err = s.store.Secret(ctx, rand.Text()); err != nil {
		return err
	}
	s.endpoint = e
	return s.lock.Reset(ctx, ended)
}

// Reachable finds out whether services that others run answer, before anything
// is made for a run on them.
func Reachable(ctx context.Context, say waiting.Say, e endpoint.Endpoint) error {
	err := waiting.For(ctx, say, "NATS to answer", serviceWithin, func(ctx context.Context) error { return takesMessages(ctx, e) })
	if err != nil {
		return err
	}
	return waiting.For(ctx, say, "etcd to answer", serviceWithin, func(ctx context.Context) error {
		client, err := e.DialEtcd(ctx)
		if err != nil {
			return exit.Wrap(exit.Resource, etcdHint, err)
		}
		return client.Close()
	})
}

func locked(err error) error {
	return exit.Wrap(exit.Resource, "end it there, or begin a run of another --run-id here", err)
}

// keep holds the lock until close; failed delivers that another has it.
func (s *services) keep(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	failed, ended := make(chan error, 1), make(chan struct{})
	s.failed = failed
	s.kept = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		if err := s.lock.Keep(ctx); err != nil {
			failed <- locked(err)
		}
	}()
}

// takesMessages finds out whether NATS answers and is set up for this.
func takesMessages(ctx context.Context, e endpoint.Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, serviceWithin)
	defer cancel()
	conn, err := e.DialBus(ctx, wire.IDUp)
	if err != nil {
		return exit.Wrap(exit.Resource, "check that NATS answers there, and that it accepts these certificates and credentials", err)
	}
	defer conn.Close()
	if most := conn.MaxPayload(); most < payload {
		return exit.Wrap(exit.Resource, fmt.Sprintf("set max_payload of the NATS servers to %d or more", payload),
			fmt.Errorf("NATS takes messages of %d bytes at most, %d are needed", most, payload))
	}
	return nil
}

// sameRun stores the spec where the run's is stored or none. Keys that are not
// fixed may have changed since.
func (s *services) sameRun(ctx context.Context, spec runspec.Spec) error {
	stored, err := runspec.Stored(ctx, s.store)
	if err == nil && stored.Hash() != spec.Hash() {
		err = fmt.Errorf("run %s in etcd is another run of the same name", spec.Run)
	}
	switch {
	case err == nil, errors.Is(err, membership.ErrNoRun):
	case ctx.Err() != nil: // etcd does not answer
		return err
	default:
		return exit.Wrap(exit.Usage, "begin the run with another --run-id", err)
	}
	b, err := spec.Encode()
	if err != nil {
		return err
	}
	return s.lock.ReplaceSpec(ctx, b)
}

// ended reports whether a registration is one of a process of this machine that
// is no more. The lease of any other shows by itself that it is gone.
func ended(r wire.Registration) bool {
	if r.Host != meter.Host() {
		return false
	}
	if r.BootID != meter.BootID() { // of before, or of another machine of this name
		return meter.MachineID() != "" // which is part of the host's
	}
	return process.Gone(r.PID)
}

// leave tidies up: a run that is done leaves no key behind.
func (s *services) leave(done bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	var err error
	if done {
		err = s.lock.Clean(ctx)
	}
	return errors.Join(err, s.lock.Release(ctx))
}
