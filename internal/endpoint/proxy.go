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
//
// A proxy on another machine is not used for addresses of this machine (127.0.0.1, ::1,
// localhost): it would connect to itself.
const ProxyVariable = "GRAMME_PROXY"

// Proxied reports whether a proxy is set.
func Proxied() bool { return os.Getenv(ProxyVariable) != "" }

// Proxy is a SOCKS5 proxy.
type Proxy struct{ Network, Address string }

// ProxyOf reads the value of ProxyVariable.
func ProxyOf(text string) (Proxy, error) {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.Scheme == "socks5" && u.Hostname() != "" && u.Port() != "":
		return Proxy{"tcp", u.Host}, nil
	case err == nil && u.Scheme == "unix" && u.Path != "":
		return Proxy{"unix", u.Path}, nil
	}
	return Proxy{}, fmt.Errorf("%s: socks5://HOST:PORT or unix:///PATH is needed", ProxyVariable)
}

// Serves reports whether connections to an address go through the proxy.
func (p Proxy) Serves(address string) bool {
	return !onlyHere(address) || p.Network == "unix" || onlyHere(p.Address)
}

// onlyHere reports whether no other machine can reach HOST:PORT.
func onlyHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Dial connects as net.Dialer does, through the proxy if there is one.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var direct net.Dialer
	if !Proxied() || network == "unix" {
		return direct.DialContext(ctx, network, address)
	}
	p, err := ProxyOf(os.Getenv(ProxyVariable))
	if err != nil {
		return nil, err
	}
	if !p.Serves(address) {
		return direct.DialContext(ctx, network, address)
	}
	d, err := proxy.SOCKS5(p.Network, p.Address, nil, &direct)
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
