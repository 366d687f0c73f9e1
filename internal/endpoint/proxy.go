package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/proxy"
)

// ProxyVariable names a SOCKS5 proxy in the environment, through which a process
// makes its TCP connections to etcd, to NATS and to other workers:
// socks5://HOST:PORT, or unix:///PATH where the proxy is on this machine.
const ProxyVariable = "GRAMME_PROXY"

// proxied reports whether there is one.
func proxied() bool { return os.Getenv(ProxyVariable) != "" }

// Dial connects as net.Dialer does, through the proxy if there is one.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var direct net.Dialer
	if !proxied() || network == "unix" {
		return direct.DialContext(ctx, network, address)
	}
	u, err := url.Parse(os.Getenv(ProxyVariable))
	if err != nil || u.Scheme != "socks5" && u.Scheme != "unix" {
		return nil, fmt.Errorf("%s: socks5://HOST:PORT or unix:///PATH is needed", ProxyVariable)
	}
	through := [2]string{"tcp", u.Host}
	if u.Scheme == "unix" {
		through = [2]string{"unix", u.Path}
	}
	d, err := proxy.SOCKS5(through[0], through[1], nil, &direct)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ProxyVariable, err)
	}
	return d.(proxy.ContextDialer).DialContext(ctx, network, address)
}

// bounded is Dial for a client that gives no context.
type bounded time.Duration

// Dial implements nats.CustomDialer.
func (b bounded) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(b))
	defer cancel()
	return Dial(ctx, network, address)
}
