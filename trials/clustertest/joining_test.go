//go:build cgo

package clustertest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/trials/chaos/partition"
)

// signal sends one to a command that runs.
func (r *running) signal(s syscall.Signal) {
	r.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.Fatal(err)
	}
}

const taken = "another live process holds this ID"

// TestSharedOneIdentity starts a second worker under the name of one that lives.
func TestSharedOneIdentity(t *testing.T) {
	t.Parallel()
	c := long(t) // another worker has to join meanwhile
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	run := r.reaches(1).Run
	far := s.far("far", run, nil)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	s.want(s.far("far", run, nil).wait(), 1, "error: ", taken, fmt.Sprintf("process %d on ", far.cmd.Process.Pid), "hint: give another --id")
	s.done(r, c)
	s.want(far.wait(), 0)
}

// TestSharedFrozenWorker freezes a worker until another has its place, and lets it
// wake up: it is kept out, says why, and disturbs nothing.
func TestSharedFrozenWorker(t *testing.T) {
	t.Parallel()
	c := long(t) // another worker has to join meanwhile
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	run := r.reaches(1).Run
	old := s.far("far", run, nil)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	old.signal(syscall.SIGSTOP)
	s.until("the run goes on without it", patience, func() bool { return !trains(s.status(), "far") })
	replacement := s.far("far", run, nil)
	s.until("another has its place", patience, func() bool {
		return worker(s.status(), "far").PID == replacement.cmd.Process.Pid
	})
	old.signal(syscall.SIGCONT)
	s.want(old.wait(), 1, "error: ", taken, fmt.Sprintf("process %d on ", replacement.cmd.Process.Pid))
	s.done(r, c)
	s.want(replacement.wait(), 0)
}

// TestSharedRingFindsItsWay lets workers join of which the second does not know the
// secret of the others' mailboxes, nor they its own: as if something stood between
// them. Nobody says which way the ring goes.
func TestSharedRingFindsItsWay(t *testing.T) {
	t.Parallel()
	c := long(t) // another worker has to join meanwhile
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	run := r.reaches(1).Run
	near := s.far("near", run, nil)
	s.until("a worker trains", patience, func() bool { return trains(s.status(), "near") })
	if got := s.status().Ring; got != wire.RingDirect {
		t.Errorf("the ring of those that reach each other is %q", got)
	}
	e, err := endpoint.ReadFile(s.run.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	e.Secret = "another"
	environ, err := e.Environ()
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.command("worker", "--id", "far")
	cmd.Env = append(cmd.Env, environ...)
	far := s.start(cmd)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	if got := s.status().Ring; got != wire.RingBroker {
		t.Errorf("the ring of those that do not reach each other is %q", got)
	}
	s.want(s.gramme("status", "--run", "run"), 0, "its ring goes through NATS")
	s.done(r, c)
	s.want(near.wait(), 0)
	s.want(far.wait(), 0, "workers do not reach each other: the ring goes through NATS")
}

// TestSharedRingLosesItsWay cuts the way between two workers in mid-run, which stay in
// touch with everybody else: to the mailbox of one the other does not come any more.
// Nobody is taken for dead.
func TestSharedRingLosesItsWay(t *testing.T) {
	t.Parallel()
	c := long(t) // another worker has to join meanwhile
	s := newShared(newSite(t))
	proxy, err := partition.Listen(filepath.Join(s.dir, "proxy"))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	through := []string{endpoint.ProxyVariable + "=unix://" + filepath.Join(s.dir, "proxy")}
	r := s.on(s.up(text(c.steps), "1")...)
	run := r.reaches(1).Run
	near, far := s.far("near", run, through, "--host", "127.0.0.1"), s.far("far", run, through, "--host", "127.0.0.1")
	s.until("the workers train", patience, func() bool { return trains(s.status(), "near") && trains(s.status(), "far") })
	defer proxy.Cut(partition.Cut{Address: s.mailbox(run, "far"), To: true, From: true})()
	s.until("the ring goes through NATS", patience, func() bool { return s.status().Ring == wire.RingBroker })
	if !trains(s.status(), "near") || !trains(s.status(), "far") {
		t.Errorf("not with both: %+v", s.status())
	}
	s.done(r, c)
	for _, w := range []*running{near, far} {
		s.want(w.wait(), 0)
		if text := w.err.String(); strings.Contains(text, "left out") || !strings.Contains(text, "the ring goes through NATS") {
			t.Errorf("it was let go, or does not say which way the ring goes:\n%s", text)
		}
	}
}

// mailbox is where the neighbours of a worker connect to: a host and a port.
func (c *shared) mailbox(run, id string) string {
	c.Helper()
	client, err := c.services.Endpoint("none").DialEtcd(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	r, err := client.Get(c.Context(), wire.KeysOf(run).Worker(id))
	if err != nil || len(r.Kvs) != 1 {
		c.Fatalf("registration of %s: %v, %v", id, r, err)
	}
	var reg wire.Registration
	if err := wire.Decode(r.Kvs[0].Value, &reg); err != nil {
		c.Fatal(err)
	}
	u, err := url.Parse(reg.Mailbox)
	if err != nil {
		c.Fatal(err)
	}
	return u.Host
}

// TestSharedCoordinatorInvites starts a coordinator elsewhere, and a worker by the
// command that it prints.
func TestSharedCoordinatorInvites(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	r.reaches(1)
	elsewhere := rundir.Dir(filepath.Join(s.dir, "copy"))
	if err := os.CopyFS(elsewhere.Corpus(), os.DirFS(s.run.Corpus())); err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile(s.run.Spec())
	if err != nil {
		t.Fatal(err)
	}
	s.write("copy/spec.yaml", string(spec))
	second := s.on("coordinator", "--id", "second", "--run", "copy")
	var told []string
	s.until("it says how workers join", patience, func() bool {
		told = regexp.MustCompile(`(?m)^workers on other machines join with:\n  gramme (worker --run-id .*)$`).FindStringSubmatch(second.err.String())
		return told != nil
	})
	cmd := exec.Command("sh", "-c", binary+" "+told[1]+" --id far")
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.tmp}
	far := s.start(cmd)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	second.signal(syscall.SIGTERM)
	s.want(second.wait(), 0)
	s.done(r, c)
	s.want(far.wait(), 0)
	for _, name := range []string{wire.IDUp, wire.IDCoordinator} {
		b, err := os.ReadFile(s.run.Log(name))
		if err != nil || strings.Contains(string(b), "workers on other machines") {
			t.Errorf("the log of %s, %v, holds what is for the terminal", name, err)
		}
	}
}
