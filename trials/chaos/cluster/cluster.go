package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/launch/embedded"
)

// Size is the least number of members of a kind that can do without one.
const Size = 3

// Kinds of members.
const (
	Etcd = "etcd"
	NATS = "nats"
)

// Options say where a cluster lies and what runs its members.
type Options struct {
	Dir string // an empty folder
	// Command runs a member: a program and arguments, which the path of its
	// settings follows. What it runs calls Serve.
	Command []string
	Host    string // address to listen on; "" is 127.0.0.1
	Each    int    // members of a kind; 0 is Size
}

// Cluster are the members of both kinds.
type Cluster struct {
	Options
	starter *process.Starter
	members []*Member
}

// Start starts all members and waits until they serve.
func Start(ctx context.Context, o Options) (c *Cluster, err error) {
	c = &Cluster{Options: o, starter: process.NewStarter()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	c.Host, c.Each = cmp.Or(c.Host, "127.0.0.1"), cmp.Or(c.Each, Size)
	if err := writeCertificates(o.Dir, c.Host); err != nil {
		return c, fmt.Errorf("make certificates: %w", err)
	}
	if err := c.settle(); err != nil {
		return c, err
	}
	return c, start(ctx, c.members)
}

// start starts members and waits until they serve: one of etcd does so when most are
// there.
func start(ctx context.Context, members []*Member) error {
	for _, m := range members {
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := m.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle gives each member its name, addresses and settings.
func (c *Cluster) settle() error {
	size := c.Each
	ports, err := freePorts(c.Host, 4*size)
	if err != nil {
		return err
	}
	tls := embedded.Certificates{CA: c.file("ca.pem"), Cert: c.file("server.pem"), Key: c.file("server.key")}
	peers, routes := map[string]string{}, ports[3*size:]
	name := func(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i+1) }
	for i := range size {
		peers[name(Etcd, i)] = ports[size+i]
	}
	for i := range size {
		n := name(Etcd, i)
		c.add(Etcd, n, "https://"+ports[i], settings{Etcd: &embedded.EtcdMember{
			Name: n, DataDir: c.file(n), Client: ports[i], Peer: peers[n], Peers: peers, TLS: tls,
		}})
	}
	for i := range size {
		n := name(NATS, i)
		c.add(NATS, n, "tls://"+ports[2*size+i], settings{NATS: &embedded.NATSMember{
			Name: n, Client: ports[2*size+i], Route: routes[i], Routes: routes, TLS: tls,
		}})
	}
	return nil
}

func (c *Cluster) add(kind, name, address string, s settings) {
	c.members = append(c.members, &Member{Kind: kind, Name: name, Address: address, settings: s, cluster: c})
}

func (c *Cluster) file(name string) string { return filepath.Join(c.Dir, name) }

// Members are those of a kind, or all of "".
func (c *Cluster) Members(kind string) []*Member {
	return slices.DeleteFunc(slices.Clone(c.members), func(m *Member) bool { return kind != "" && m.Kind != kind })
}

// Close ends all members.
func (c *Cluster) Close() error {
	var err error
	for _, m := range c.members {
		err = errors.Join(err, m.Kill())
	}
	c.starter.Close()
	return err
}

func (c *Cluster) addresses(kind string) []string {
	var all []string
	for _, m := range c.Members(kind) {
		all = append(all, m.Address)
	}
	return all
}

// Endpoint is how a process of a run reaches the cluster.
func (c *Cluster) Endpoint(run string) endpoint.Endpoint {
	return endpoint.Endpoint{
		Run: run, Etcd: c.addresses(Etcd), NATS: strings.Join(c.addresses(NATS), ","), Shared: true,
		TLS: endpoint.Files{CA: c.file("ca.pem"), Cert: c.file("client.pem"), Key: c.file("client.key")},
	}
}

// values are flag, variable and value.
func (c *Cluster) values() [][3]string {
	e := c.Endpoint("")
	return [][3]string{
		{"--etcd", "GRAMME_ETCD", strings.Join(e.Etcd, ",")},
		{"--nats", "GRAMME_NATS", e.NATS},
		{"--tls-ca", "GRAMME_TLS_CA", e.TLS.CA},
		{"--tls-cert", "GRAMME_TLS_CERT", e.TLS.Cert},
		{"--tls-key", "GRAMME_TLS_KEY", e.TLS.Key},
	}
}

// Flags name the cluster to a command of `gramme`.
func (c *Cluster) Flags() (all []string) {
	for _, v := range c.values() {
		all = append(all, v[0], v[2])
	}
	return all
}

// Environ names the cluster to a command, as NAME=value.
func (c *Cluster) Environ() (all []string) {
	for _, v := range c.values() {
		all = append(all, v[1]+"="+v[2])
	}
	return all
}
