package endpoint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gramme-project/gramme/launch/embedded"
)

var sample = Endpoint{Run: "r1", Etcd: []string{"unix:///tmp/a b/etcd.sock"}, NATS: "nats://127.0.0.1:4222", Secret: `q"=`}

func TestEnvironAndFileCarryTheWhole(t *testing.T) {
	env, err := sample.Environ()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FromEnviron(append([]string{"PATH=/bin", Variable + "=old"}, env...)); err != nil || !reflect.DeepEqual(got, sample) {
		t.Errorf("%+v %v", got, err)
	}
	path := filepath.Join(t.TempDir(), "endpoint.json")
	for range 2 {
		if err := sample.WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadFile(path); err != nil || !reflect.DeepEqual(got, sample) {
		t.Errorf("%+v %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("%d files are left", len(all))
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	if _, err := FromEnviron([]string{"A=b"}); err == nil || !strings.Contains(err.Error(), Variable+" is not set") {
		t.Errorf("no variable: %v", err)
	}
	for text, want := range map[string]string{
		`{"secret":"hidden"`:                               "not JSON",
		`{"secret":"hidden","run":5}`:                      "not JSON",
		`{"secret":"hidden"}`:                              "the run is missing",
		`{"secret":"hidden","run":"r"}`:                    "etcd is missing",
		`{"secret":"hidden","run":"r","etcd":["unix:/x"]}`: "NATS is missing",
	} {
		_, err := FromEnviron([]string{Variable + "=" + text})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if err := sample.WriteFile(filepath.Join(t.TempDir(), "no", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent folder: %v", err)
	}
}

func TestDialsReachTheServices(t *testing.T) {
	sockets, err := os.MkdirTemp("", "gramme")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	etcd, err := embedded.StartEtcd(t.Context(), embedded.EtcdOptions{DataDir: filepath.Join(sockets, "data"), SocketDir: sockets, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	server, err := embedded.StartNATS("s")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	e := Endpoint{Run: "r", Etcd: etcd.Endpoints(), NATS: server.URL(), Secret: "s"}
	c, err := e.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	n, err := e.DialNATS(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	n.Close()

	e.Secret = "other"
	if _, err := e.DialNATS(t.Context(), "test"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("another secret: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second) // enough for one try of each
	defer cancel()
	nowhere := Endpoint{Run: "r", Etcd: []string{"unix://" + sockets + "/none"}, NATS: "nats://127.0.0.1:1", Secret: "s"}
	if _, err := nowhere.DialNATS(soon, "test"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("no NATS there: %v", err)
	}
	if _, err := nowhere.DialEtcd(soon); err == nil || !strings.Contains(err.Error(), "connect to etcd at [unix://") || strings.Contains(err.Error(), "\n") {
		t.Errorf("no etcd there: %v", err)
	}
}
