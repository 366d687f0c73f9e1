//go:build cgo

package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

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
	t.Parallel()
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
	t.Parallel()
	c := calm(t)
	for i, ring := range []string{"direct", "broker"} {
		t.Run(ring, func(t *testing.T) {
			s := newShared(newSite(t))
			r := s.on(s.up(text(c.steps), "2", "--ring", ring)...)
			for at, kind := range []string{"nats", "etcd"} {
				r.reaches(c.steps * uint64(at+1) / 4)
				if err := s.member(fmt.Sprintf("%s-%d", kind, i+1)).Kill(); err != nil {
					t.Fatal(err)
				}
			}
			s.done(r, c)
		})
	}
}

// TestSharedResume goes on after everything of the run was killed, after a stop,
// and with other settings, on services that kept what they were told.
func TestSharedResume(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "2")...)
	r.reaches(c.steps / 4)
	s.killAll()
	r.wait()
	r = s.on(s.up(text(c.steps), "2")...)
	generation := r.generationAfter(1)
	r.reaches(c.steps / 3)
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.want(r.wait(), 0, "stopped at step ")
	if keys := strings.Join(s.keys(), " "); !strings.Contains(keys, "/plan") || strings.Contains(keys, "/up") {
		t.Errorf("in etcd after a stop: %s", keys)
	}
	r = s.on(s.up(text(c.steps), "1:2", "--checkpoint-every", "500ms")...)
	r.generationAfter(generation)
	s.done(r, c)
}

// trains reports whether a worker computes a part of each step.
func trains(s wire.Status, id string) bool {
	return slices.ContainsFunc(s.Processes, func(p wire.Process) bool {
		return p.ID == id && p.Member() && p.MicroBatches > 0
	})
}

// TestSharedRemote lets a worker join that has nothing of the run: neither its
// folder nor the home of its user.
func TestSharedRemote(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	s := newSite(t)
	for want, args := range map[string][]string{
		"--nats is missing":     {"up", "--etcd", "http://127.0.0.1:1", corpus},
		"no such file":          {"up", "--etcd", "http://127.0.0.1:1", "--nats", "nats://127.0.0.1:1", "--tls-ca", "none.pem", corpus},
		"contains a password":   {"up", "--etcd", "http://127.0.0.1:1", "--nats", "nats://u:p@127.0.0.1:1", corpus},
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
