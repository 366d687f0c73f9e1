package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
)

// longestSocket is the most bytes of a unix socket's path (sun_path).
const longestSocket = 107

// Bounds that fit what a run keeps in etcd, which are some kilobytes: the usual ones
// take 128 MB of disk and 10 GB of addresses, and small containers have neither.
const (
	segmentBytes = 4 << 20   // of the write-ahead log, twice: one is made ahead
	storeBytes   = 256 << 20 // of the store, whose addresses are taken at the start
)

func init() { wal.SegmentSizeBytes = segmentBytes } // before any etcd starts

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
	errs chan error
	idle chan struct{} // closed when nothing more comes to errs
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
	// etcd listens for peers at the host of a URL, also where that is a path. Without one
	// it would take an abstract socket, which every user of the machine may dial, and
	// which it closes only where the working folder may be written.
	peer.Host, peer.Path = peer.Path, ""
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
	cfg.QuotaBackendBytes = storeBytes
	cfg.LogLevel = "warn"
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(q.logger())
	return serve(ctx, cfg, q, client.String(), "etcd on "+o.DataDir)
}

// serve starts an etcd and returns when it serves.
func serve(ctx context.Context, cfg *embed.Config, q *quieter, url, name string) (*Etcd, error) {
	fail := func(err error) (*Etcd, error) { return nil, fmt.Errorf("start %s: %w", name, err) }
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	begun := make(chan result, 1)
	go func() { // does not end where etcd fails for good
		e, err := embed.StartEtcd(cfg)
		begun <- result{e, err}
	}()
	var r result
	select {
	case r = <-begun:
	case <-q.fatal:
		return fail(q.failure)
	case <-ctx.Done(): // it knows no context, and ends when it is there, or with this process
		q.close()
		go func() {
			if r := <-begun; r.err == nil {
				r.etcd.Close()
			}
		}()
		return fail(context.Cause(ctx))
	}
	if r.err != nil {
		return fail(r.err)
	}
	e := &Etcd{etcd: r.etcd, url: url, quit: q, errs: make(chan error, 1), idle: make(chan struct{})}
	go e.watch(name)
	var err error
	select {
	case <-r.etcd.Server.ReadyNotify():
		return e, nil
	case err = <-e.errs:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.Close()
	return fail(err)
}

// watch passes on what ends etcd.
func (e *Etcd) watch(name string) {
	defer close(e.idle)
	defer close(e.errs)
	select {
	case err, open := <-e.etcd.Err():
		if open {
			e.errs <- fmt.Errorf("%s: %w", name, err)
		}
	case <-e.quit.fatal:
		e.errs <- fmt.Errorf("%s: %w", name, e.quit.failure)
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

// Err delivers what ended etcd before Close, if something did.
func (e *Etcd) Err() <-chan error { return e.errs }

// Close stops etcd and returns when it has ended. Clients that are still
// connected have five seconds to end their streams, so close them before. One
// that failed for good stands still, and ends with the process.
func (e *Etcd) Close() {
	e.quit.close()
	ended := make(chan struct{})
	go func() { // does not end where etcd failed for good
		defer close(ended)
		e.etcd.Close()
	}()
	select {
	case <-ended:
	case <-e.quit.fatal:
	}
	<-e.idle
}
