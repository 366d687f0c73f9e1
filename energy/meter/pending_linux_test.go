package meter

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// opened is a meter of a process in a folder of its own, whose service is away.
func opened(t *testing.T, dir, process string) *Meter {
	t.Helper()
	o := options(t, process, rand.Text(), &service{down: errors.New("away")})
	o.Dir, o.BootID = filepath.Join(dir, process), BootID()
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// killed leaves the log of a process as it stands.
func killed(t *testing.T, m *Meter) {
	t.Helper()
	if err := errors.Join(m.wal.file.Close(), m.sys.folder.close()); err != nil {
		t.Fatal(err)
	}
	m.closed = true
}

func sum(all []energy.Record) (microJ int64, gaps int) {
	for _, r := range all {
		if r.Gap != nil {
			gaps++
		} else {
			microJ += r.Reading.MicroJ
		}
	}
	return microJ, gaps
}

// What processes leave that never come again is sent by another, once, and what
// living ones have is left to them.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	ended, dead, alive := opened(t, dir, "ended"), opened(t, dir, "dead"), opened(t, dir, "alive")
	for _, m := range []*Meter{ended, dead, alive} {
		m.Phase(energy.Compute, 1, 3)
		m.sample(false)
	}
	if err := ended.Close(); err != nil {
		t.Fatal(err)
	}
	killed(t, dead)
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}

	left, living, err := ReadPending(dir, "run", 0)
	if err != nil || living != 1 || len(left) != 2 || left[0].Process != "dead" || left[1].Process != "ended" {
		t.Fatalf("%d living, left %+v, %v", living, left, err)
	}
	if _, gaps := sum(left[0].Records); gaps == 0 {
		t.Error("nothing says how long the killed process was not measured")
	}
	if _, _, err := ReadPending(dir, "other", 0); err == nil {
		t.Error("the logs are another run's")
	}

	s := &service{down: errors.New("away")}
	if sent, _, err := SendPending(t.Context(), dir, "run", s.send); err == nil || sent != 0 {
		t.Errorf("%d are sent while nobody takes them, %v", sent, err)
	}
	s.set(nil)
	sent, living, err := SendPending(t.Context(), dir, "run", s.send)
	want := slices.Concat(left[0].Records, left[1].Records)
	if err != nil || living != 1 || sent != len(want) {
		t.Fatalf("%d of %d records are sent, %d living, %v", sent, len(want), living, err)
	}
	got, _ := sum(s.all())
	if expected, _ := sum(want); got != expected || got == 0 || s.twice != 0 {
		t.Errorf("%d µJ, left were %d; %d records twice", got, expected, s.twice)
	}
	if sent, _, err := SendPending(t.Context(), dir, "run", s.send); sent != 0 || err != nil {
		t.Errorf("%d records are sent again, %v", sent, err)
	}
	if n := len(alive.pending()); n == 0 {
		t.Error("the living process lost what it had")
	}
}

// A process that begins while its log is swept waits for that.
func TestOpenWaitsForASweep(t *testing.T) {
	dir := t.TempDir()
	if err := opened(t, dir, "w").Close(); err != nil {
		t.Fatal(err)
	}
	after := make(chan *Meter, 1)
	_, _, err := SendPending(t.Context(), dir, "run", func(context.Context, []energy.Record) error {
		o := options(t, "w", "b", &service{})
		o.Dir, o.BootID = filepath.Join(dir, "w"), BootID()
		go func() {
			m, err := Open(o)
			if err != nil {
				t.Error(err)
			}
			after <- m
		}()
		select {
		case <-after:
			t.Error("the log is used while it is swept")
		case <-time.After(lockWithin / 20):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m := <-after
	for _, r := range recordsOf(m.pending()) {
		if r.Source().Incarnation != "b" {
			t.Errorf("what was swept is there again: %+v", r.Source())
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFreeName(t *testing.T) {
	dir := t.TempDir()
	next := func() string {
		t.Helper()
		name, err := FreeName(dir, "host")
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	if name := next(); name != "host-1" {
		t.Errorf("the first is %s", name)
	}
	first := opened(t, dir, next())
	second := opened(t, dir, next())
	if name := next(); name != "host-3" || second.options.Process != "host-2" {
		t.Errorf("after %s the next is %s", second.options.Process, name)
	}
	killed(t, first)
	if name := next(); name != "host-1" {
		t.Errorf("after the first was killed, the next is %s", name)
	}
}

// A process that has finished leaves nothing in its log; one that could not send
// looks until its end.
func TestFinish(t *testing.T) {
	dir := t.TempDir()
	for _, down := range []error{nil, errors.New("away")} {
		s := &service{down: down}
		o := options(t, "p", "a", s)
		o.Dir = filepath.Join(dir, "p")
		m, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if down != nil {
			cancel()
		}
		if err := m.Finish(ctx); (err == nil) != (down == nil) {
			t.Errorf("finish: %v", err)
		}
		cancel()
		m.sample(true)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		left, _, err := ReadPending(dir, "run", 0)
		if err != nil || (len(left) == 0) != (down == nil) {
			t.Errorf("left %+v, %v", left, err)
		}
		if down == nil && len(s.all()) == 0 {
			t.Error("nothing was sent")
		}
	}
}

// TestADamagedLogIsNotPassedOver flips a bit in the log of a process that has ended.
func TestADamagedLogIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	m := opened(t, dir, "w")
	for range 3 {
		m.Phase(energy.Compute, 1, 3)
		m.sample(false)
	}
	killed(t, m)
	path := filepath.Join(dir, "w", logFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, first := frame(good)
	if first == 0 || first == len(good) {
		t.Fatalf("a frame of %d in %d bytes", first, len(good))
	}
	whole, _, err := ReadPending(dir, "run", 0)
	if err != nil || len(whole) != 1 {
		t.Fatal(whole, err)
	}
	for _, at := range []int{0, first / 2, first, first + 4, first + frameHeader} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadPending(dir, "run", 0); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", at, err)
		}
		s := &service{}
		if sent, _, err := SendPending(t.Context(), dir, "run", s.send); sent != 0 || !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %d are taken, %v", at, sent, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
			t.Errorf("byte %d: the log is not left as it is: %v", at, err)
		}
	}
	// The next process of that name keeps it and goes on.
	if err := opened(t, dir, "w").Close(); err != nil {
		t.Fatal(err)
	}
	left, _, err := ReadPending(dir, "run", 0)
	if !errors.Is(err, ErrDamaged) || len(left) != 1 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// TestToBeginOnceMoreAfterAKillIsWaste has a process that joins, as the first of its
// name or after others.
func TestToBeginOnceMoreAfterAKillIsWaste(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, dir string)
		want   energy.Phase
	}{
		"the first":          {func(*testing.T, string) {}, energy.Joining},
		"one before, whole":  {func(t *testing.T, dir string) { _ = opened(t, dir, "w").Close() }, energy.Joining},
		"one before, killed": {func(t *testing.T, dir string) { killed(t, opened(t, dir, "w")) }, energy.Recovery},
		"one before, killed, whose log was swept": {func(t *testing.T, dir string) {
			killed(t, opened(t, dir, "w"))
			for range 2 {
				if _, _, err := SendPending(t.Context(), dir, "run", (&service{}).send); err != nil {
					t.Fatal(err)
				}
			}
		}, energy.Recovery},
		"two before, the first was killed": {func(t *testing.T, dir string) {
			killed(t, opened(t, dir, "w"))
			_ = opened(t, dir, "w").Close()
		}, energy.Joining},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.before(t, dir)
			m := opened(t, dir, "w")
			m.Phase(energy.Joining, 0, 0)
			for begun := time.Now(); time.Since(begun) < 20*time.Millisecond; { // some work
			}
			m.Phase(energy.Compute, 1, 1)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			found := map[energy.Phase]int64{}
			for _, it := range m.queue {
				if r := it.record.Reading; r != nil && r.Incarnation == m.options.Incarnation {
					for _, p := range r.Parts {
						found[p.Phase] += p.MicroJ
					}
				}
			}
			other := map[energy.Phase]energy.Phase{energy.Joining: energy.Recovery, energy.Recovery: energy.Joining}[c.want]
			if found[c.want] == 0 || found[other] != 0 {
				t.Errorf("energy by phase: %v", found)
			}
		})
	}
}
