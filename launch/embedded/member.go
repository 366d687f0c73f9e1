package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Certificates are PEM files of a server that asks its clients, and the other
// members, for certificates of the same authority.
type Certificates struct{ CA, Cert, Key string }

// EtcdMember is one of an etcd cluster. All fields are required.
type EtcdMember struct {
	Name         string
	DataDir      string
	Client, Peer string            // addresses to listen on: host and port
	Peers        map[string]string // of all members, by name
	TLS          Certificates
	Log          *zap.Logger
}

// StartEtcdMember starts a member and returns when the cluster serves, or when
// ctx ends. Unlike that of StartEtcd its time-outs are those of a cluster.
func StartEtcdMember(ctx context.Context, m EtcdMember) (*Etcd, error) {
	q := newQuieter(m.Log)
	at := func(address string) []url.URL { return []url.URL{{Scheme: "https", Host: address}} }
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = m.Name, m.DataDir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = at(m.Client), at(m.Client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = at(m.Peer), at(m.Peer)
	var peers []string
	for name, address := range m.Peers {
		peers = append(peers, name+"=https://"+address)
	}
	cfg.InitialCluster = strings.Join(peers, ",")
	cfg.ClientTLSInfo = transport.TLSInfo{
		CertFile: m.TLS.Cert, KeyFile: m.TLS.Key, TrustedCAFile: m.TLS.CA, ClientCertAuth: true,
	}
	cfg.PeerTLSInfo = cfg.ClientTLSInfo
	cfg.LogLevel = "warn"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(q.logger())
	return serve(ctx, cfg, q, "https://"+m.Client, "etcd member "+m.Name)
}

// NATSMember is one server of a NATS cluster. All fields are required.
type NATSMember struct {
	Name          string
	Client, Route string   // addresses to listen on: host and port
	Routes        []string // of all servers
	TLS           Certificates
}

// StartNATSMember starts a server with the limits that NATS has by default, and
// returns when it accepts clients.
func StartNATSMember(m NATSMember) (*NATS, error) {
	name := "NATS server " + m.Name
	o, err := m.options()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return serveNATS(name, o)
}

func (m NATSMember) options() (*server.Options, error) {
	config, err := m.TLS.config()
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: m.Name, TLS: true, TLSVerify: true, TLSConfig: config, TLSTimeout: 5,
		NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{Name: "gramme", TLSConfig: config.Clone(), TLSTimeout: 5},
	}
	o.Cluster.TLSConfig.RootCAs = config.ClientCAs // a route is a client, too
	if o.Host, o.Port, err = split(m.Client); err != nil {
		return nil, err
	}
	if o.Cluster.Host, o.Cluster.Port, err = split(m.Route); err != nil {
		return nil, err
	}
	for _, address := range m.Routes {
		if address != m.Route {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: address})
		}
	}
	return o, nil
}

func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	return host, port, err
}

// config asks clients for certificates of the authority.
func (c Certificates) config() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("no certificate in " + c.CA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
