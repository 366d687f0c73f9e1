package partition

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/proxy"
)

// echo is a service whose lines come back.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

// through starts a proxy and returns how to connect by it.
func through(t *testing.T) (*Proxy, proxy.ContextDialer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p")
	p, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := proxy.SOCKS5("unix", path, nil, &net.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	return p, d.(proxy.ContextDialer)
}

// TestCut cuts by process and by address, both ways and one: what was sent arrives
// when it is healed, and not before.
func TestCut(t *testing.T) {
	address := echo(t)
	p, d := through(t)
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lines := bufio.NewReader(c)
	for name, cut := range map[string]Cut{
		"both ways":    {PID: os.Getpid(), To: true, From: true},
		"to":           {PID: os.Getpid(), To: true},
		"from":         {PID: os.Getpid(), From: true},
		"to address":   {Address: address, To: true},
		"from address": {Address: address, From: true},
	} {
		heal := p.Cut(cut)
		if _, err := io.WriteString(c, name+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if text, err := lines.ReadString('\n'); err == nil {
			t.Fatalf("%s: %q comes through", name, text)
		}
		heal()
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if text, err := lines.ReadString('\n'); err != nil || text != name+"\n" {
			t.Fatalf("%s: %q, %v after it was healed", name, text, err)
		}
	}
	// Others are not cut off.
	defer p.Cut(Cut{PID: os.Getpid() + 1, Address: "127.0.0.1:1", To: true, From: true})()
	if _, err := io.WriteString(c, "still\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := lines.ReadString('\n'); err != nil || text != "still\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestConnectWhileCut waits, or gives up.
func TestConnectWhileCut(t *testing.T) {
	address := echo(t)
	p, d := through(t)
	heal := p.Cut(Cut{Address: address, To: true})
	within, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.DialContext(within, "tcp", address); err == nil {
		t.Error("connected")
	}
	connected := make(chan error, 1)
	go func() {
		c, err := d.DialContext(t.Context(), "tcp", address)
		if err == nil {
			err = c.Close()
		}
		connected <- err
	}()
	heal()
	if err := <-connected; err != nil {
		t.Error(err)
	}
	if _, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Error("connected to where nobody listens")
	}
}
