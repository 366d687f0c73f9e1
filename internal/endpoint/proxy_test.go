package endpoint

import (
	"context"
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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
