package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// longestSocket is the most bytes of a unix socket's path (sun_path).
const longestSocket = 107

// EtcdOptions configure an embedded etcd. All fields are required.
type EtcdOptions struct {
	DataDir   string      // its data; created if absent, continued if not
	SocketDir string      // its sockets; short, and on a local file system
	Log       *zap.Logger // warnings and errors of etcd
}

// Etcd is a running etcd.
type Etcd struct {
	etcd *embed.Etcd
	url  string
	quit *quieter
}

// StartEtcd starts an etcd of one member and returns when it serves, or when ctx
// ends.
func StartEtcd(ctx context.Context, o EtcdOptions) (*Etcd, error) {
	client, err := socket(o.SocketDir, "etcd.sock")
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	peer, err := socket(o.SocketDir, "peer.sock")
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	for _, dir := range []string{o.DataDir, o.SocketDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("start etcd: %w", err)
		}
	}
	q := newQuieter(o.Log)
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "gramme", o.DataDir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls = []url.URL{peer}
	// The only member dials nobody, so this address is a name and nothing else;
	// it must stay what it was when the data was begun.
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// Nobody else can be elected: there is nothing to wait for.
	cfg.TickMs, cfg.ElectionMs = 20, 100
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "revision", "1000"
	cfg.LogLevel = "warn"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(q.logger())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd on %s: %w", o.DataDir, err)
	}
	started := &Etcd{etcd: e, url: client.String(), quit: q}
	select {
	case <-e.Server.ReadyNotify():
		return started, nil
	case err := <-e.Err():
		started.Close()
		return nil, fmt.Errorf("start etcd on %s: %w", o.DataDir, err)
	case <-ctx.Done():
		started.Close()
		return nil, fmt.Errorf("start etcd on %s: %w", o.DataDir, context.Cause(ctx))
	}
}

func socket(dir, name string) (url.URL, error) {
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return url.URL{}, err
	}
	if len(path) > longestSocket {
		return url.URL{}, fmt.Errorf("socket %s: %d bytes, the most are %d: choose a shorter folder", path, len(path), longestSocket)
	}
	// What a process that was killed left behind.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return url.URL{}, err
	}
	return url.URL{Scheme: "unix", Path: path}, nil
}

// Endpoints are where clients reach it.
func (e *Etcd) Endpoints() []string { return []string{e.url} }

// Err delivers what ended etcd before Close.
func (e *Etcd) Err() <-chan error { return e.etcd.Err() }

// Close stops etcd and returns when it has ended. Clients that are still
// connected have five seconds to end their streams, so close them before.
func (e *Etcd) Close() {
	e.quit.close()
	e.etcd.Close()
}
