// Package network tests the connections between the processes of a run before anything is
// prepared: over the loopback of this machine, through the proxy of the environment, and
// to the address by which other machines reach this one. It opens real connections.
//
// It guarantees that every probe ends within its bound, or with its context, and that
// an error names the address that could not be reached and, as the hint of package exit,
// a remedy.
// It does not try the etcd and the NATS of a run, which package launch does.
package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
)

// Bounds of the probes.
const (
	loopbackWithin = 2 * time.Second
	proxyWithin    = 5 * time.Second
	hostWithin     = 5 * time.Second
)

// Local is the address at which the processes of a run on one machine find each other.
const Local = "127.0.0.1"

// Prober makes the connections. Its zero value makes real ones.
type Prober struct {
	// Dial is net.Dialer.DialContext where it is nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy is the value of endpoint.ProxyVariable; "": there is none.
	Proxy string
}

// FromEnviron is the prober of this process.
func FromEnviron() Prober { return Prober{Proxy: os.Getenv(endpoint.ProxyVariable)} }

// Check tries what every run on this machine needs.
func (p Prober) Check(ctx context.Context) error {
	if _, err := p.Loopback(ctx); err != nil {
		return err
	}
	_, err := p.SOCKS(ctx)
	return err
}

// Loopback connects to this process by 127.0.0.1, and says what it found.
func (p Prober) Loopback(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, loopbackWithin)
	defer cancel()
	if err := p.roundTrip(ctx, Local, p.dial); err != nil {
		return "", exit.Wrap(exit.Resource, "bring the loopback interface up, as root: ip link set lo up; a firewall may also forbid it",
			fmt.Errorf("%s cannot be reached, by which the processes of a run find each other: %w", Local, err))
	}
	return Local + " takes connections", nil
}

// SOCKS greets the proxy and, where it is on this machine, connects through it.
func (p Prober) SOCKS(ctx context.Context) (string, error) {
	if p.Proxy == "" {
		return "none, " + endpoint.ProxyVariable + " is not set", nil
	}
	at, err := endpoint.ProxyOf(p.Proxy)
	if err != nil {
		return "", exit.Wrap(exit.Usage, "for example "+endpoint.ProxyVariable+"=socks5://proxy.example:1080", err)
	}
	ctx, cancel := context.WithTimeout(ctx, proxyWithin)
	defer cancel()
	err = p.greet(ctx, at)
	if err == nil && at.Serves(net.JoinHostPort(Local, "0")) {
		err = p.roundTrip(ctx, Local, func(ctx context.Context, network, address string) (net.Conn, error) {
			d, err := proxy.SOCKS5(at.Network, at.Address, nil, forward(p.dial))
			if err != nil {
				return nil, err
			}
			return d.(proxy.ContextDialer).DialContext(ctx, network, address)
		})
	}
	if err != nil {
		return "", exit.Wrap(exit.Resource, "start the proxy, or take "+endpoint.ProxyVariable+" out of the environment: without it connections are direct",
			fmt.Errorf("the proxy at %s (%s) does not answer: %w", at.Address, endpoint.ProxyVariable, err))
	}
	return at.Address + " answers", nil
}

// greet is how SOCKS5 begins: the client names one way to log in, none, and the proxy
// takes it.
func (p Prober) greet(ctx context.Context, at endpoint.Proxy) error {
	conn, err := p.dial(ctx, at.Network, at.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	answer := make([]byte, 2)
	if _, err = conn.Write([]byte{5, 1, 0}); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it takes the connection and says nothing: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("it does not speak SOCKS5: %w", err)
	case answer[0] != 5:
		return errors.New("it does not speak SOCKS5")
	case answer[1] != 0:
		return errors.New("it asks for a log-in, which is not supported")
	}
	return nil
}

// Host connects to this machine by an address or a name of its own, as others would.
func (p Prober) Host(ctx context.Context, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, hostWithin)
	defer cancel()
	fail := func(err error) (string, error) {
		return "", exit.Wrap(exit.Usage, "give --host an address of this machine that the others reach; `ip addr` lists them", err)
	}
	all, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return fail(fmt.Errorf("address of %s: %w", host, err))
	}
	if len(all) != 1 || all[0] != host {
		host += " (" + strings.Join(all, ", ") + ")"
	}
	for _, address := range all {
		if err := p.roundTrip(ctx, address, p.dial); err != nil {
			return fail(fmt.Errorf("%s cannot be reached from this machine itself: %w", host, err))
		}
	}
	return host + " takes connections", nil
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// forward lets a dialer carry the connection to a proxy.
type forward dialer

func (f forward) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func (p Prober) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// roundTrip listens at an address of this machine, connects there and sends a byte.
func (p Prober) roundTrip(ctx context.Context, host string, dial dialer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	sent := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = conn.Write([]byte{1})
			err = errors.Join(err, conn.Close())
		}
		sent <- err
	}()
	conn, err := dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("nothing comes through: %w", err)
	}
	return <-sent
}
