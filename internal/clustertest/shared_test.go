//go:build cgo

package clustertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
)

var buildTrial = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(root, "trialcluster"), "../../cmd/internal/trialcluster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build trialcluster: %w\n%s", err, out)
	}
	return nil
})

// member is how the cluster tells of each process.
var member = regexp.MustCompile(`(?m)^(\w+-\d): .*process (\d+)$`)

// shared is a cluster of etcd and NATS that is not the run's own.
type shared struct {
	*site
	environ []string       // what names it to a command
	pids    map[string]int // by the name of the member
}

// newShared starts one. It ends before the site does.
func newShared(s *site) *shared {
	s.Helper()
	if err := buildTrial(); err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "trialcluster"))
	cmd.Env = append(os.Environ(), "TMPDIR="+s.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	var told buffer
	cmd.Stderr = &told
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			s.Errorf("the cluster ended with %v\n%s", err, told.String())
		}
	})
	flags, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Fatalf("no cluster: %v\n%s", err, told.String())
	}
	c := &shared{site: s, pids: map[string]int{}}
	words := strings.Fields(flags)
	for i := 0; i+1 < len(words); i += 2 {
		name := strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(words[i], "--"), "-", "_"))
		c.environ = append(c.environ, "GRAMME_"+name+"="+words[i+1])
	}
	s.until("all members are told", patience, func() bool { // on another pipe
		for _, m := range member.FindAllStringSubmatch(told.String(), -1) {
			if c.pids[m[1]], err = strconv.Atoi(m[2]); err != nil {
				s.Fatal(err)
			}
		}
		return len(c.pids) == 6
	})
	return c
}

// on starts a command that uses the cluster.
func (c *shared) on(args ...string) *running {
	c.Helper()
	cmd := c.command(args...)
	cmd.Env = append(cmd.Env, c.environ...)
	return c.start(cmd)
}

func (c *shared) value(name string) string {
	for _, pair := range c.environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// keys are those in etcd, of all runs.
func (c *shared) keys() (all []string) {
	c.Helper()
	e := endpoint.Endpoint{
		Run: "none", Etcd: strings.Split(c.value("GRAMME_ETCD"), ","), NATS: c.value("GRAMME_NATS"), Shared: true,
		TLS: endpoint.Files{CA: c.value("GRAMME_TLS_CA"), Cert: c.value("GRAMME_TLS_CERT"), Key: c.value("GRAMME_TLS_KEY")},
	}
	client, err := e.DialEtcd(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	r, err := client.Get(c.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		c.Fatal(err)
	}
	for _, kv := range r.Kvs {
		all = append(all, string(kv.Key))
	}
	return all
}

// done checks that a run ended as it should and left nothing in etcd.
func (c *shared) done(r *running, calm calmRun) {
	c.Helper()
	c.want(r.wait(), 0, fmt.Sprintf("done: %d steps", calm.steps))
	c.same(calm)
	if keys := c.keys(); len(keys) > 0 {
		c.Errorf("left in etcd: %v", keys)
	}
}

// TestShared trains on services that others run, once for each way of the ring.
func TestShared(t *testing.T) {
	c := calm(t)
	for _, ring := range []string{"direct", "broker", "auto"} {
		t.Run(ring, func(t *testing.T) {
			s := newShared(newSite(t))
			r := s.on(s.up(text(c.steps), "2", "--ring", ring)...)
			way := map[string]string{"broker": "broker"}[ring]
			if way == "" {
				way = "direct"
			}
			if got := r.reaches(c.steps / 4).Ring; got != way {
				t.Errorf("the ring is %q, not %q", got, way)
			}
			s.done(r, c)
		})
	}
}

// TestSharedMembersDie kills one member of etcd and one server of NATS, with the
// ring straight and through that NATS.
func TestSharedMembersDie(t *testing.T) {
	c := calm(t)
	for i, ring := range []string{"direct", "broker"} {
		t.Run(ring, func(t *testing.T) {
			s := newShared(newSite(t))
			r := s.on(s.up(text(c.steps), "2", "--ring", ring)...)
			for at, kind := range []string{"nats", "etcd"} {
				r.reaches(c.steps * uint64(at+1) / 4)
				pid, known := s.pids[fmt.Sprintf("%s-%d", kind, i+1)]
				if !known {
					t.Fatalf("no %s-%d", kind, i+1)
				}
				s.kill(pid)
			}
			s.done(r, c)
		})
	}
}

// TestSharedResume goes on after everything of the run was killed, after a stop,
// and with other settings, on services that kept what they were told.
func TestSharedResume(t *testing.T) {
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "2")...)
	r.reaches(c.steps / 4)
	s.killAll()
	r.wait()
	r = s.on(s.up(text(c.steps), "2")...)
	generation := r.reaches(c.steps / 3).Generation
	if generation < 2 {
		t.Errorf("generation %d after a new start, where one was before", generation)
	}
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.want(r.wait(), 0, "stopped at step ")
	if keys := strings.Join(s.keys(), " "); !strings.Contains(keys, "/plan") || strings.Contains(keys, "/up") {
		t.Errorf("in etcd after a stop: %s", keys)
	}
	r = s.on(s.up(text(c.steps), "1:2", "--checkpoint-every", "500ms")...)
	if got := r.reaches(c.steps / 2).Generation; got <= generation {
		t.Errorf("generation %d after generation %d", got, generation)
	}
	s.done(r, c)
}

// trains reports whether a worker computes a part of each step.
func trains(s wire.Status, id string) bool {
	return slices.ContainsFunc(s.Processes, func(p wire.Process) bool {
		return p.ID == id && p.Role == wire.RoleWorker && p.Rank >= 0 && p.MicroBatches > 0
	})
}

// TestSharedRemote lets a worker join that has nothing of the run: neither its
// folder nor the home of its user.
func TestSharedRemote(t *testing.T) {
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "1")...)
	var told []string
	s.until("it says how workers join", patience, func() bool {
		told = regexp.MustCompile(`(?m)^  gramme (worker --run-id .*)$`).FindStringSubmatch(r.err.String())
		return told != nil
	})
	empty := filepath.Join(s.dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", binary+" "+told[1]+" --id far")
	cmd.Dir, cmd.Env = empty, []string{"HOME=" + empty, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.tmp}
	far := s.start(cmd)
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	s.done(r, c)
	s.want(far.wait(), 0)
	if left, _ := filepath.Glob(filepath.Join(empty, ".cache/gramme/runs/*/shards/*")); len(left) == 0 {
		t.Error("it fetched no shard")
	}
	if out := s.must("audit", "--json", "run"); !strings.Contains(out, `"far"`) {
		t.Errorf("the ledger does not tell of the worker:\n%s", out)
	}
	late := exec.Command("sh", "-c", binary+" "+told[1])
	late.Dir, late.Env = empty, cmd.Env
	s.want(s.start(late).wait(), 2, "is this the right cluster", "hint: ")
	if keys := s.keys(); len(keys) > 0 {
		t.Errorf("a worker that came too late left in etcd: %v", keys)
	}
}

// TestSharedOrphan kills all of the run but a worker of another machine: it holds
// the newest state until the same command is given again.
func TestSharedOrphan(t *testing.T) {
	c := calm(t)
	s := newShared(newSite(t))
	up := s.up(text(c.steps), "1", "--checkpoint-every", "1h")
	r := s.on(up...)
	first := r.reaches(1)
	far := s.on("worker", "--run-id", first.Run, "--id", "far")
	var step uint64
	s.until("the worker trains", patience, func() bool {
		now := s.status()
		step = now.Step
		return trains(now, "far")
	})
	pids := []int{r.cmd.Process.Pid}
	for _, p := range s.status().Processes {
		if p.ID != "far" {
			pids = append(pids, p.PID)
		}
	}
	s.kill(pids...)
	r.wait()
	r = s.on(up...)
	if got := r.reaches(1); got.Step < step {
		t.Errorf("it goes on from step %d, where the worker was at %d", got.Step, step)
	}
	s.done(r, c)
	s.want(far.wait(), 0)
}

// TestSharedMistakes are told in plain words.
func TestSharedMistakes(t *testing.T) {
	s := newSite(t)
	for want, args := range map[string][]string{
		"--nats is missing":     {"up", "--etcd", "http://127.0.0.1:1", corpus},
		"no such file":          {"up", "--etcd", "http://127.0.0.1:1", "--nats", "nats://127.0.0.1:1", "--tls-ca", "none.pem", corpus},
		"holds a password":      {"up", "--etcd", "http://127.0.0.1:1", "--nats", "nats://u:p@127.0.0.1:1", corpus},
		"is needed":             {"worker", "--etcd", "127.0.0.1:1", "--nats", "nats://127.0.0.1:1", "--run-id", "r"},
		"the name of the run":   {"worker", "--etcd", "http://127.0.0.1:1", "--nats", "nats://127.0.0.1:1"},
		"belong together":       {"status", "--run-id", "r", "--etcd", "https://127.0.0.1:1", "--nats", "tls://127.0.0.1:1", "--tls-key", "config.yaml"},
		"hint: for example --e": {"drain", "w1", "--run-id", "r", "--etcd", "ftp://x", "--nats", "nats://127.0.0.1:1"},
	} {
		begun := time.Now()
		s.want(s.gramme(args...), 2, want, "hint: ")
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%v took %s", args, took)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "runs")); err == nil {
		t.Error("a mistake made a folder")
	}
}
