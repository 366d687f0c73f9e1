package checkpoint

import (
	"errors"
	"slices"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
	"github.com/gramme-project/gramme/internal/vfs/vfstest"
)

// TestPowerLoss cuts the power after each operation of a series of saves. What is
// found afterwards is the checkpoint that was newest before or the one that was
// being written, whole; the audit agrees; and the run can go on.
func TestPowerLoss(t *testing.T) {
	steps := []uint64{10, 20, 30} // more than are kept
	for cut := 0; ; cut++ {
		done := powerLoss(t, steps, cut, 2*uint64(cut))
		powerLoss(t, steps, cut, 2*uint64(cut)+1)
		if done {
			break
		}
	}
}

// powerLoss reports whether all saves came to their end.
func powerLoss(t *testing.T, steps []uint64, cut int, seed uint64) bool {
	t.Helper()
	dir := t.TempDir()
	d, err := vfstest.NewMirror(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := openFolder(t, dir, d)
	left := cut
	d.Hook(func(op memfs.Op) error {
		// What stands before a write is among what may be left before the sync.
		if op.Kind != "write" {
			left--
		}
		if left < 0 {
			return vfstest.ErrPower
		}
		return nil
	})
	f.store.spec.Checkpoint.Keep = 1
	acknowledged := uint64(0)
	if _, _, err = f.store.recoverFromCrash(); err == nil {
		for _, step := range steps {
			state, digest := stateAt(t, f.spec, step)
			if _, err = f.store.save(state, assembly.Metadata{Digest: digest}); err != nil {
				break
			}
			acknowledged = step
			if err = f.store.prune(); err != nil {
				break
			}
		}
	}
	if err != nil && !errors.Is(err, vfstest.ErrPower) {
		t.Fatalf("cut %d: %v", cut, err)
	}
	f.log.Close()
	if _, e := d.Crash(memfs.KeepSome(seed), f.dir.Checkpoints()); e != nil {
		t.Fatal(e)
	}

	reader, e := Choose(dir, Complete, nil)
	if e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	g := openFolder(t, dir, vfs.OS{})
	c, found := g.recover(t)
	if c.step != reader.Step || len(reader.PassedOver) > 0 {
		t.Fatalf("cut %d: a service goes on from step %d, a reader takes %+v", cut, c.step, reader)
	}
	next := acknowledged + 10
	switch {
	case !found && acknowledged > 0:
		t.Fatalf("cut %d: no checkpoint, %d was acknowledged", cut, acknowledged)
	case found && c.step != acknowledged && c.step != next:
		t.Fatalf("cut %d: checkpoint of step %d, %d was acknowledged", cut, c.step, acknowledged)
	case found:
		compare(t, g, c)
	}
	report, e := Audit(dir)
	if e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	if len(report.SetAside) > 0 || len(report.Account.Notes) > 0 {
		t.Fatalf("cut %d: %v set aside, notes %v", cut, report.SetAside, report.Account.Notes)
	}
	if c := g.save(t, 90); c.step != 90 {
		t.Fatalf("cut %d: saved %d", cut, c.step)
	}
	if _, e := Audit(dir); e != nil {
		t.Fatalf("cut %d: %v", cut, e)
	}
	return err == nil
}

// compare reads a checkpoint back.
func compare(t *testing.T, f *folder, c saved) {
	t.Helper()
	want, digest := stateAt(t, f.spec, c.step)
	s := newSnapshot(f.store.layout)
	if err := s.open(c); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.info.Digest != digest || s.info.Step != c.step {
		t.Errorf("step %d with digest %s, want %d with %s", s.info.Step, s.info.Digest, c.step, digest)
	}
	for part, flat := range map[string][]float32{"weights": want.Weights, "moment1": want.Moment1, "moment2": want.Moment2} {
		got := make([]float32, len(flat))
		p := partOf[part]
		if err := s.files[p.file].read(f.store.layout, p.prefix, 0, got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, flat) {
			t.Errorf("%s of step %d are not what was stored", part, c.step)
		}
	}
}
