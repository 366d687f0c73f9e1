package network

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/trials/chaos/partition"
)

// down is a machine whose loopback is down.
func down(_ context.Context, network, _ string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENETUNREACH}
}

func TestLoopback(t *testing.T) {
	if found, err := (Prober{}).Loopback(t.Context()); err != nil {
		t.Errorf("%q, %v", found, err)
	}
	err := Prober{Dial: down}.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1 cannot be reached") || exit.Code(err) != exit.Resource || !strings.Contains(exit.Hint(err), "ip link set lo up") {
		t.Errorf("%v; %s", err, exit.Hint(err))
	}
}

// TestProxy greets proxies that work, are not there, say nothing, and are none.
func TestProxy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy")
	works, err := partition.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer works.Close()
	mute := serve(t, func(net.Conn) { <-t.Context().Done() })
	web := serve(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	closed := serve(t, func(net.Conn) {})
	locked := serve(t, func(c net.Conn) { _, _ = c.Write([]byte{5, 255}) })
	absent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	absent.Close()
	for _, c := range []struct {
		name, proxy, want string
		code              int
	}{
		{"none", "", "", exit.OK},
		{"works", "unix://" + path, "", exit.OK},
		{"absent", "socks5://" + absent.Addr().String(), "connection refused", exit.Resource},
		{"no socket", "unix:///none/proxy", "/none/proxy", exit.Resource},
		{"mute", "socks5://" + mute, "says nothing", exit.Resource},
		{"another protocol", "socks5://" + web, "does not speak SOCKS5", exit.Resource},
		{"closes", "socks5://" + closed, "does not speak SOCKS5", exit.Resource},
		{"log-in", "socks5://" + locked, "asks for a log-in", exit.Resource},
		{"no address", "proxy:1080", "socks5://HOST:PORT", exit.Usage},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			if c.name == "mute" { // the bound of the probe is the same, and longer
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			_, err := Prober{Proxy: c.proxy}.SOCKS(ctx)
			if exit.Code(err) != c.code || err != nil && (!strings.Contains(err.Error(), c.want) || exit.Hint(err) == "") {
				t.Errorf("code %d, %v; %s", exit.Code(err), err, exit.Hint(err))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Prober{Proxy: "socks5://" + mute}).SOCKS(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// serve takes connections and lets f speak.
func serve(t *testing.T, f func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // reads what the client has sent, so that the end is no reset
				_, _ = c.Read(make([]byte, 3))
				f(c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestHost(t *testing.T) {
	if found, err := (Prober{}).Host(t.Context(), "127.0.0.1"); err != nil {
		t.Errorf("%q, %v", found, err)
	}
	// TEST-NET-1 is no machine's.
	if _, err := (Prober{}).Host(t.Context(), "192.0.2.1"); err == nil || exit.Hint(err) == "" {
		t.Errorf("an address of no machine: %v", err)
	}
	silent := Prober{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := silent.Host(ctx, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "127.0.0.1 cannot be reached from this machine itself") {
		t.Error(err)
	}
}
