package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestMain lets this binary be a member.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "member" || os.Getenv("TRIALCLUSTER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// trial starts a cluster that ends with the test.
func trial(t *testing.T) (*members, endpoint.Endpoint) {
	t.Helper()
	starter := process.NewStarter()
	t.Cleanup(starter.Close)
	c, err := start(t.Context(), starter, t.TempDir())
	t.Cleanup(c.end)
	if err != nil {
		t.Fatal(err)
	}
	return c, endpoint.Endpoint{
		Run: "r", Etcd: strings.Split(c.addresses("etcd"), ","), NATS: c.addresses("nats"), Shared: true,
		TLS: endpoint.Files{CA: c.file("ca.pem"), Cert: c.file("client.pem"), Key: c.file("client.key")},
	}
}

func TestDialsAClusterThatLosesMembers(t *testing.T) {
	c, e := trial(t)
	etcd, err := e.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	conn, err := e.DialNATS(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe("ping", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.members { // whichever the clients are at
		if strings.HasSuffix(m.name, "-1") || m.address == conn.ConnectedUrl() {
			if strings.HasPrefix(m.name, "nats") && m.address != conn.ConnectedUrl() {
				continue
			}
			if err := m.process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, err = etcd.Put(ctx, "/gramme/r/x", "1"); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("etcd without one member: %v", err)
	}
	for {
		if _, err = conn.Request("ping", nil, time.Second); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		t.Errorf("NATS without one server: %v", err)
	}
	// Whoever comes now is not kept by those that are gone.
	for range 4 {
		again, err := e.DialEtcd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		n, err := e.DialNATS(ctx, "test")
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
	}
}

func TestRefusesWhoIsNotKnown(t *testing.T) {
	_, e := trial(t)
	for name, change := range map[string]func(*endpoint.Endpoint){
		"another authority": func(e *endpoint.Endpoint) { e.TLS.CA = "" },
		"no certificate":    func(e *endpoint.Endpoint) { e.TLS.Cert, e.TLS.Key = "", "" },
		"no such file":      func(e *endpoint.Endpoint) { e.TLS.CA = "/none" },
	} {
		other := e
		change(&other)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := other.DialNATS(ctx, "test"); err == nil {
			t.Errorf("%s: NATS takes it", name)
		}
		if _, err := other.DialEtcd(ctx); err == nil {
			t.Errorf("%s: etcd takes it", name)
		} else if why := map[string]string{"another authority": "x509", "no certificate": "certificate required", "no such file": "/none"}[name]; !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v does not say %q", name, err, why)
		}
	}
}

func TestClaim(t *testing.T) {
	_, e := trial(t)
	here := endpoint.Holder{Host: "a", Folder: "/run", PID: 1}
	first, err := e.Claim(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	// What a process that was killed left is no obstacle where it ran.
	second, err := e.Claim(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Claim(t.Context(), endpoint.Holder{Host: "b", Folder: "/run", PID: 2}); !errors.Is(err, endpoint.ErrClaimed) || !strings.Contains(err.Error(), "process 1 on a") {
		t.Errorf("another machine: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}

	if _, err := e.Settled(t.Context()); !errors.Is(err, endpoint.ErrNoRun) {
		t.Errorf("before there is a run: %v", err)
	}
	if err := second.PutSpec(t.Context(), []byte("s")); err != nil {
		t.Error(err)
	}
	one, err := e.Settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if two, err := e.Settled(t.Context()); err != nil || two.Secret != one.Secret || one.Secret == "" {
		t.Errorf("secrets %q and %q, %v", one.Secret, two.Secret, err)
	}
	client, err := e.DialEtcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	keys := wire.KeysOf("r")
	for key, value := range map[string]string{
		keys.Intent(): `{"stop":true}`, keys.Worker("w1"): `{"id":"w1","pid":1}`, keys.Worker("w2"): `{"id":"w2","pid":2}`, "/gramme/r2/spec": "of another run",
	} {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := second.Spec(t.Context()); err != nil || string(b) != "s" {
		t.Errorf("spec %q, %v", b, err)
	}
	if err := second.Renew(t.Context(), func(r wire.Registration) bool { return r.PID == 1 }); err != nil {
		t.Error(err)
	}
	left := func() string {
		r, err := client.Get(t.Context(), "/gramme/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, kv := range r.Kvs {
			all = append(all, strings.TrimPrefix(string(kv.Key), "/gramme/"))
		}
		return strings.Join(all, " ")
	}
	if got, want := left(), "r/secret r/spec r/up r/workers/w2 r2/spec"; got != want {
		t.Errorf("after a new beginning there are %s, not %s", got, want)
	}
	if err := second.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got, want := left(), "r2/spec"; got != want {
		t.Errorf("after the end there are %s, not %s", got, want)
	}
}

// TestRunsACommand checks what a command finds in its environment, its exit code,
// and that nothing is left.
func TestRunsACommand(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0], "run", "sh", "-c", "echo $GRAMME_ETCD $GRAMME_NATS; cat $GRAMME_TLS_CA $GRAMME_TLS_CERT $GRAMME_TLS_KEY; exit 7")
	cmd.Env = append(os.Environ(), "TRIALCLUSTER=1", "TMPDIR="+tmp)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v", err)
	}
	if got := fmt.Sprint(strings.Count(string(out), "https://127"), strings.Count(string(out), "tls://127"), strings.Count(string(out), "BEGIN")); got != "3 3 3" {
		t.Errorf("%s of etcd, NATS and files:\n%s", got, out)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
