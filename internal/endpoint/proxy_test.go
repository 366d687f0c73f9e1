package endpoint

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// TestDialThroughAProxy connects nowhere where the proxy is not there, and says
// what a proxy's address looks like.
func TestDialThroughAProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for through, want := range map[string]string{
		"": "", "unix:///none/proxy": "/none/proxy", "socks5://127.0.0.1:1": "127.0.0.1:1", "ftp://x": "socks5://HOST:PORT", "\x7f": "socks5://HOST:PORT",
	} {
		t.Setenv(ProxyVariable, through)
		c, err := Dial(ctx, "tcp", l.Addr().String())
		if err == nil {
			err = c.Close()
			if want != "" {
				t.Errorf("by %q it is connected", through)
			}
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("by %q: %v, not %q", through, err, want)
		}
	}
}

// TestWhatAProxyServes keeps what is only of this machine from a proxy elsewhere.
func TestWhatAProxyServes(t *testing.T) {
	for _, c := range []struct {
		proxy, to string
		through   bool
	}{
		{"socks5://proxy.example:1080", "nats.example:4222", true},
		{"socks5://proxy.example:1080", "192.0.2.7:4222", true},
		{"socks5://proxy.example:1080", "127.0.0.1:4222", false},
		{"socks5://proxy.example:1080", "[::1]:4222", false},
		{"socks5://proxy.example:1080", "localhost:4222", false},
		{"socks5://127.0.0.1:1080", "127.0.0.1:4222", true}, // it is on this machine, and finds the same
		{"socks5://localhost:1080", "192.0.2.7:4222", true},
		{"unix:///run/proxy", "127.0.0.1:4222", true},
	} {
		p, err := ProxyOf(c.proxy)
		if err != nil || p.Serves(c.to) != c.through {
			t.Errorf("%s to %s: through it is %v, %v", c.proxy, c.to, p.Serves(c.to), err)
		}
	}
	for _, bad := range []string{"127.0.0.1:1080", "http://proxy:8080", "socks5://", "socks5://proxy", "socks5://:1080", "unix:", "\x7f"} {
		if p, err := ProxyOf(bad); err == nil {
			t.Errorf("%q is taken: %v", bad, p)
		}
	}
}

// TestDialThatIsBrokenOff ends, with its reason, as soon as its context does, though
// a server takes the connection and says nothing.
func TestDialThatIsBrokenOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mute := l.Addr().String()
	e := Endpoint{Run: "r", Etcd: []string{"http://" + mute}, NATS: "nats://" + mute + ",nats://" + mute, Secret: "s"}
	enough := errors.New("enough")
	for name, dial := range map[string]func(ctx context.Context) error{
		"NATS": func(ctx context.Context) error { _, err := e.DialNATS(ctx, "test"); return err },
		"etcd": func(ctx context.Context) error { _, err := e.DialEtcd(ctx); return err },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- dial(ctx) }()
		time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
		select {
		case err := <-ended:
			if !errors.Is(err, enough) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: the dial goes on", name)
		}
	}
}
