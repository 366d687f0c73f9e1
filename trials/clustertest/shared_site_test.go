//go:build cgo

package clustertest

import (
	"os"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

// onBothServices runs a test of dying processes twice: with the etcd and NATS that
// gramme up starts, and with those of a cluster.
func onBothServices(t *testing.T, test func(t *testing.T, newSite func(*testing.T) *site)) {
	t.Parallel()
	for name, newSite := range map[string]func(*testing.T) *site{
		"services of the run": newSite,
		"services of a cluster": func(t *testing.T) *site {
			s := newSite(t)
			s.environ = newShared(s).services.Environ()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && name != "services of the run" {
				t.Skip("the same with services of the run is tried")
			}
			test(t, newSite)
		})
	}
}

// shared is a cluster of etcd and NATS that is not the run's own.
type shared struct {
	*site
	services *cluster.Cluster
}

// newShared starts one. It ends before the site does.
func newShared(s *site) *shared {
	s.Helper()
	dir := s.dir + "/services"
	err := os.Mkdir(dir, 0o700)
	if err != nil {
		s.Fatal(err)
	}
	c := &shared{site: s}
	c.services, err = cluster.Start(s.Context(), cluster.Options{Dir: dir, Command: []string{binary, "chaos", "--member"}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := c.services.Close(); err != nil {
			s.Error(err)
		}
	})
	return c
}

// member returns the one of a name.
func (c *shared) member(name string) *cluster.Member {
	c.Helper()
	for _, m := range c.services.Members("") {
		if m.Name == name {
			return m
		}
	}
	c.Fatalf("no %s", name)
	return nil
}

// on starts a command that uses the cluster.
func (c *shared) on(args ...string) *running {
	c.Helper()
	cmd := c.command(args...)
	cmd.Env = append(cmd.Env, c.services.Environ()...)
	return c.start(cmd)
}

// keys are those in etcd, of all runs.
func (c *shared) keys() (all []string) {
	c.Helper()
	client, err := c.services.Endpoint("none").DialEtcd(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	r, err := client.Get(c.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		c.Fatal(err)
	}
	for _, kv := range r.Kvs {
		all = append(all, string(kv.Key))
	}
	return all
}
