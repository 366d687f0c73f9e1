package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/launch/embedded"
	"github.com/gramme-project/gramme/runspec"
)

// startWithin bounds the start of etcd and NATS in this process, and their first
// answer: on a slow disk etcd takes some seconds.
const startWithin = time.Minute

// services are etcd and NATS of a run: inside this process, or a lock on the run at those
// that others run.
type services struct {
	dir      rundir.Dir
	sockets  *rundir.Sockets
	etcd     *embedded.Etcd
	nats     *embedded.NATS
	store    *etcdstore.Store   // of services that others run
	lock     membership.RunLock // of the run there
	endpoint endpoint.Endpoint
	failed   <-chan error // what ended them before close
	kept     func()       // ends the keeping of the lock
}

// openServices lets open start or join the services of a run, and writes the endpoint file.
// What an earlier start left in the folder is removed: the state of a run is in its
// checkpoints.
func openServices(dir rundir.Dir, open func(*services) error) (*services, error) {
	s := &services{dir: dir}
	err := s.clear()
	if err == nil {
		err = open(s)
	}
	if err == nil {
		err = s.endpoint.WriteFile(dir.Endpoint())
	}
	if err != nil {
		return nil, errors.Join(err, s.close(false))
	}
	return s, nil
}

// start starts both with empty stores, and stores the spec.
func (s *services) start(ctx context.Context, spec runspec.Spec, log *zap.Logger) (err error) {
	if err := rundir.SweepSockets(time.Now()); err != nil {
		log.Warn("temporary folders of earlier starts stay", zap.Error(err))
	}
	if s.sockets, err = s.dir.OpenSockets(); err != nil {
		return exit.Wrap(exit.Resource, "set TMPDIR to a folder on a local disk that may be written, with a short path", fmt.Errorf("start cluster: %w", err))
	}
	secret := rand.Text()
	if s.nats, err = embedded.StartNATS(secret); err != nil {
		return err
	}
	s.etcd, err = embedded.StartEtcd(ctx, embedded.EtcdOptions{DataDir: s.dir.Cluster() + "/etcd", SocketDir: s.sockets.Path, Log: log})
	if err != nil {
		return err
	}
	s.failed = s.etcd.Err()
	s.endpoint = endpoint.Endpoint{Run: spec.Run, Etcd: s.etcd.Endpoints(), NATS: s.nats.URL(), Secret: secret}
	b, err := spec.Encode()
	if err != nil {
		return err
	}
	store, err := etcdstore.Dial(ctx, s.endpoint)
	if err != nil {
		return err
	}
	return errors.Join(store.PutSpec(ctx, b), store.Close())
}

func (s *services) clear() error {
	if err := errors.Join(s.dir.ClearSockets(), os.RemoveAll(s.dir.Cluster())); err != nil {
		return fmt.Errorf("clear cluster: %w", err)
	}
	return nil
}

// close ends what runs in this process, and leaves what runs elsewhere.
func (s *services) close(done bool) (err error) {
	if s.lock != nil {
		if s.kept != nil {
			s.kept()
		}
		err = s.leave(done)
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	if s.sockets != nil {
		err = errors.Join(err, s.sockets.Close())
	}
	return errors.Join(err, s.clear())
}
