package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/embedded"
	"github.com/gramme-project/gramme/internal/process"
)

const (
	// size is the least number of members that can do without one.
	size = 3
	// startWithin bounds the start of all.
	startWithin = 30 * time.Second
)

// settings are what one member is started with.
type settings struct {
	Etcd  *embedded.EtcdMember `json:",omitempty"`
	NATS  *embedded.NATSMember `json:",omitempty"`
	Ready string               // file that is made when it serves
}

// one is a member's process.
type one struct {
	name, address string
	process       *process.Process
	ready         string
}

// members are those of one cluster.
type members struct {
	dir     string
	members []*one
}

// start starts all members and waits until they serve.
func start(ctx context.Context, starter *process.Starter, dir string) (*members, error) {
	c := &members{dir: dir}
	if err := writeCertificates(dir); err != nil {
		return c, fmt.Errorf("make certificates: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	ports, err := freePorts(4 * size)
	if err != nil {
		return c, err
	}
	tls := embedded.Certificates{CA: c.file("ca.pem"), Cert: c.file("server.pem"), Key: c.file("server.key")}
	peers, routes := map[string]string{}, []string{}
	name := func(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i+1) }
	for i := range size {
		peers[name("etcd", i)] = ports[size+i]
		routes = append(routes, ports[3*size+i])
	}
	for i := range size {
		n := name("etcd", i)
		err := c.start(starter, self, n, "https://"+ports[i], settings{Etcd: &embedded.EtcdMember{
			Name: n, DataDir: c.file(n), Client: ports[i], Peer: peers[n], Peers: peers, TLS: tls,
		}})
		if err != nil {
			return c, err
		}
	}
	for i := range size {
		n := name("nats", i)
		err := c.start(starter, self, n, "tls://"+ports[2*size+i], settings{NATS: &embedded.NATSMember{
			Name: n, Client: ports[2*size+i], Route: routes[i], Routes: routes, TLS: tls,
		}})
		if err != nil {
			return c, err
		}
	}
	return c, c.await(ctx)
}

func (c *members) file(name string) string { return filepath.Join(c.dir, name) }

func (c *members) start(starter *process.Starter, self, name, address string, s settings) error {
	s.Ready = c.file(name + ".ready")
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file(name+".json"), b, 0o600); err != nil {
		return err
	}
	p, err := starter.Start(process.Command{Name: name, Path: self, Args: []string{"member", c.file(name + ".json")}, Log: c.file(name + ".log")})
	if err == nil {
		c.members = append(c.members, &one{name, address, p, s.Ready})
	}
	return err
}

// await returns when all members serve.
func (c *members) await(ctx context.Context) error {
	late := time.After(startWithin)
	for _, m := range c.members {
		for {
			if _, err := os.Stat(m.ready); err == nil {
				break
			}
			select {
			case <-m.process.Ended():
				return fmt.Errorf("%s ended: %s", m.name, process.LastWords(m.process.Log, 5))
			case <-late:
				return fmt.Errorf("%s does not serve after %s: %s", m.name, startWithin, process.LastWords(m.process.Log, 5))
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// end ends all members; their data is worth nothing.
func (c *members) end() {
	for _, m := range c.members {
		_ = m.process.Kill() // one that has ended is what is wanted
		<-m.process.Ended()
	}
}

func (c *members) addresses(kind string) string {
	var all []string
	for _, m := range c.members {
		if strings.HasPrefix(m.name, kind) {
			all = append(all, m.address)
		}
	}
	return strings.Join(all, ",")
}

// values are flag, variable and value.
func (c *members) values() [][3]string {
	return [][3]string{
		{"--etcd", "GRAMME_ETCD", c.addresses("etcd")},
		{"--nats", "GRAMME_NATS", c.addresses("nats")},
		{"--tls-ca", "GRAMME_TLS_CA", c.file("ca.pem")},
		{"--tls-cert", "GRAMME_TLS_CERT", c.file("client.pem")},
		{"--tls-key", "GRAMME_TLS_KEY", c.file("client.key")},
	}
}

func (c *members) flags() (all []string) {
	for _, v := range c.values() {
		all = append(all, v[0], v[2])
	}
	return all
}

func (c *members) environ() (all []string) {
	for _, v := range c.values() {
		all = append(all, v[1]+"="+v[2])
	}
	return all
}

// freePorts finds addresses on which nothing listens.
func freePorts(n int) (all []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all together: none is found twice
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// member is the life of one process.
func member(ctx context.Context, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s settings
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	switch {
	case s.Etcd != nil:
		if s.Etcd.Log, err = zap.NewProduction(); err != nil {
			return err
		}
		e, err := embedded.StartEtcdMember(ctx, *s.Etcd)
		if err != nil {
			return err
		}
		defer e.Close()
	case s.NATS != nil:
		n, err := embedded.StartNATSMember(*s.NATS)
		if err != nil {
			return err
		}
		defer n.Close()
	}
	if err := os.WriteFile(s.Ready, nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
