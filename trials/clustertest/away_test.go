//go:build cgo

package clustertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

// away kills all members of a kind and starts them again after a time, while it
// looks at what the run does.
func (c *shared) away(kind string, hold time.Duration, during func(ctx context.Context)) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), hold+patience)
	defer cancel()
	back := make(chan error, 1)
	go func() { back <- cluster.Away(ctx, c.services.Members(kind), hold) }()
	if during != nil {
		within, done := context.WithTimeout(ctx, hold)
		during(within)
		done()
	}
	if err := <-back; err != nil {
		c.Fatal(err)
	}
}

// stepper follows the steps that workers tell of themselves.
func (c *shared) stepper() *atomic.Uint64 {
	c.Helper()
	e, err := endpoint.ReadFile(c.run.Endpoint())
	if err != nil {
		c.Fatal(err)
	}
	conn, err := e.DialBus(c.Context(), "test")
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(conn.Close)
	var newest atomic.Uint64
	if _, err := bus.Subscribe(conn, wire.SubjectsOf(e.Run).Beats(), func(m *bus.Message) {
		var b wire.Beat
		if wire.Decode(m.Data, &b) == nil {
			newest.Store(max(newest.Load(), b.Step))
		}
	}); err != nil {
		c.Fatal(err)
	}
	return &newest
}

// stays checks that no worker was thrown out since a status, and that all train.
func (c *shared) stays(before, now wire.Status) {
	c.Helper()
	for _, p := range before.Processes {
		if p.Role == wire.RoleWorker && !trains(now, p.ID) {
			c.Errorf("%s does not train any more: %+v", p.ID, now)
		}
	}
	paths, _ := filepath.Glob(filepath.Join(c.run.Logs(), "w*.log")) // the pattern is fine
	for _, path := range paths {
		if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "left out of the ring") {
			c.Errorf("%s: a worker that lives was thrown out, or %v", path, err)
		}
	}
}

// TestSharedEtcdAway kills all of etcd for longer than the lease of the elected
// coordinator: training goes on meanwhile, and with the same members when it is
// back.
func TestSharedEtcdAway(t *testing.T) {
	t.Parallel()
	c := long(t)
	s := newShared(newSite(t))
	r := s.on(s.up(text(c.steps), "2")...)
	before := r.reaches(c.steps / 10)
	step := s.stepper()
	s.away(cluster.Etcd, 3500*time.Millisecond, func(ctx context.Context) {
		s.until("a worker tells of a step", patience, func() bool { return step.Load() > 0 })
		first := step.Load()
		<-ctx.Done()
		if last := step.Load(); last < first+10 {
			t.Errorf("from step %d to %d while etcd was away", first, last)
		}
	})
	now := r.reaches(before.Step + 1)
	if now.Generation != before.Generation {
		t.Errorf("generation %d follows on %d: %s", now.Generation, before.Generation, now.Reason)
	}
	s.stays(before, now)
	s.done(r, c)
}

// TestSharedNATSAway kills all of NATS, with the ring straight and through it.
func TestSharedNATSAway(t *testing.T) {
	t.Parallel()
	c := calm(t)
	for _, ring := range []string{"direct", "broker"} {
		t.Run(ring, func(t *testing.T) {
			s := newShared(newSite(t))
			r := s.on(s.up(text(c.steps), "3", "--ring", ring)...)
			before := r.reaches(c.steps / 5)
			s.away(cluster.NATS, time.Second, nil)
			now := r.reaches(before.Step + 1)
			if ring == "direct" && now.Generation != before.Generation {
				t.Errorf("generation %d follows on %d: %s", now.Generation, before.Generation, now.Reason)
			}
			s.stays(before, now)
			s.done(r, c)
		})
	}
}
