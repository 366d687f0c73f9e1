package ledger

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

func memOptions() Options {
	return Options{
		Dir: "/run/ledger", KeyPath: "/run/keys/signing.key", Run: testRun, SpecHash: "5bec",
		Now: func() time.Time { return time.Unix(1000, 0) },
	}
}

// acknowledged is what a writer was told is durable.
type acknowledged struct {
	keys  map[string]bool
	heads []NamedHead
}

func (a *acknowledged) add(h Head, entries ...Entry) {
	for _, e := range entries {
		if k, ok := e.record(); ok {
			a.keys[fmt.Sprint(k)] = true
		} else {
			a.keys[e.Key] = true
		}
	}
	a.heads = append(a.heads, NamedHead{fmt.Sprintf("head of %d", h.Size), h.Note})
}

// work opens a log twice, and appends batches, duplicates and resumes to it.
// again says whether to go on after an error by doing the same once more.
func work(d vfs.FS, acks *acknowledged, again bool) error {
	try := func(f func() error) error {
		err := f()
		if err != nil && again {
			err = f()
		}
		return err
	}
	batches := [][]Entry{
		{reading("w0", "cpu", 1, 5), reading("w1", "cpu", 1, 6), remark("a", strings.Repeat("long ", 40))},
		{gap("w0", "cpu", 2), reading("w0", "cpu", 1, 5)},
		{remark("b", "x"), reading("w0", "cpu", 3, 7)},
	}
	for session := range 2 {
		var l *Log
		if err := try(func() (err error) { l, err = open(d, memOptions()); return err }); err != nil {
			return err
		}
		acks.heads = append(acks.heads, NamedHead{"opened", l.Head().Note})
		tree := l.Head().Tree()
		if err := try(func() error { return l.Resume(uint64(session), &tree) }); err != nil {
			return err
		}
		acks.heads = append(acks.heads, NamedHead{"resumed", l.Head().Note})
		for i, b := range batches {
			if session == 0 && i == 2 {
				continue
			}
			var h Head
			if err := try(func() (err error) { h, err = l.Append(b...); return err }); err != nil {
				return err
			}
			acks.add(h, b...)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// holds checks that a log has all that was acknowledged, once, and verifies.
func holds(d vfs.FS, acks *acknowledged) error {
	l, err := open(d, memOptions())
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	a, err := verify(d, "/run/ledger", acks.heads)
	if err != nil {
		return err
	}
	if a.Behind != 0 {
		return fmt.Errorf("%d entries are left behind the head", a.Behind)
	}
	found := map[string]int{}
	state := newReplay(testRun, a.PublicKey)
	err = walk("/run/ledger", l.entries, l.Head(), &state, func(e Entry) error {
		if k, ok := e.record(); ok {
			found[fmt.Sprint(k)]++
		} else {
			found[e.Key]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key := range acks.keys {
		if found[key] != 1 {
			return fmt.Errorf("%q was acknowledged and is there %d times", key, found[key])
		}
	}
	h, err := l.Append(remark("after", "it goes on"))
	if err != nil {
		return err
	}
	_, err = verify(d, "/run/ledger", append(acks.heads, NamedHead{"after", h.Note}))
	return err
}

// TestCrash cuts the power before each operation on the disk in turn. Whatever
// part of what was not synced is lost, the log opens again with everything that
// was acknowledged.
func TestCrash(t *testing.T) {
	stops := 0
	for stop, finished := 0, false; !finished; stop++ {
		d, acks := newMemDisk(), &acknowledged{keys: map[string]bool{}}
		left := stop
		var at string
		d.Hook(func(op memfs.Op) error {
			if left--; left < 0 {
				if left == -1 {
					at = op.Kind + " " + op.Path
				}
				return errPowerLost
			}
			return nil
		})
		err := work(d, acks, false)
		if finished = err == nil; !finished && !errors.Is(err, errPowerLost) {
			t.Fatal(err)
		}
		for name, keep := range keeps(6) {
			if err := holds(d.afterLoss(keep), &acknowledged{maps.Clone(acks.keys), acks.heads}); err != nil {
				t.Errorf("power lost before operation %d (%s), losing %s: %v", stop, at, name, err)
			}
		}
		stops++
	}
	if stops < 50 {
		t.Errorf("only %d places to stop: the hook does not see all operations", stops)
	}
}

// TestFault lets each operation in turn fail once, as on a full disk. The log
// stays valid at once, also for a reader beside it and after a loss of power,
// and the same work done again succeeds and counts once.
func TestFault(t *testing.T) {
	for stop, finished := 0, false; !finished; stop++ {
		d, acks := newMemDisk(), &acknowledged{keys: map[string]bool{}}
		left, at := stop, ""
		var beside []memDisk
		d.Hook(func(op memfs.Op) error {
			if left--; left == -1 {
				at = op.Kind + " " + op.Path
				return syscall.ENOSPC
			}
			if left < -1 && left > -8 {
				beside = append(beside, d.afterLoss(memfs.KeepNone), d.afterLoss(memfs.KeepAll))
			}
			return nil
		})
		if err := work(d, acks, true); err != nil {
			t.Errorf("operation %d (%s) failed: then: %v", stop, at, err)
		}
		finished = at == ""
		d.Hook(nil)
		if err := holds(d, acks); err != nil {
			t.Errorf("operation %d (%s) failed: %v", stop, at, err)
		}
		for _, d := range beside {
			if err := holds(d, &acknowledged{}); err != nil {
				t.Errorf("operation %d (%s) failed, and soon after it power: %v", stop, at, err)
			}
		}
	}
}

// TestFullDisk has a disk that stays full for a while.
func TestFullDisk(t *testing.T) {
	d := newMemDisk()
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Append(reading("w0", "cpu", 1, 5))
	if err != nil {
		t.Fatal(err)
	}
	size := len(d.read(inLog(entriesFile)))
	for _, full := range []string{"write", "create", "sync", "rename", "sync folder"} {
		d.Hook(func(op memfs.Op) error {
			if op.Kind == full {
				return syscall.ENOSPC
			}
			return nil
		})
		for range 3 {
			if _, err := l.Append(reading("w0", "cpu", 2, 6)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s: got %v, want ENOSPC", full, err)
			}
			if l.state.counted.hasRecord(source("w0", "cpu", 2).Key()) || l.Head().Size != before.Size {
				t.Fatalf("%s: what failed counts", full)
			}
			a, err := verify(d, "/run/ledger", []NamedHead{{"before", before.Note}})
			if err != nil {
				t.Fatalf("%s: %v", full, err)
			}
			// Bytes of a failed append are cut off at once, if that can be synced.
			if (full == "write" || full == "create") && (a.Behind != 0 || len(d.read(inLog(entriesFile))) != size) {
				t.Errorf("%s: what failed was left behind the head", full)
			}
		}
	}
	d.Hook(nil)
	h, err := l.Append(reading("w0", "cpu", 2, 6), remark("k", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if h.Size != before.Size+2 {
		t.Errorf("%d entries, want %d", h.Size, before.Size+2)
	}
	a, err := verify(d, "/run/ledger", []NamedHead{{"before", before.Note}, {"after", h.Note}})
	if err != nil {
		t.Fatal(err)
	}
	if a.Total != 11 || a.Readings != 2 {
		t.Errorf("%d µJ in %d readings, want 11 in 2", a.Total, a.Readings)
	}
	if d.there(inLog(headFile + temporary)) {
		t.Error("a temporary head was left")
	}
}

// TestLeftover has a temporary head of a writer that died.
func TestLeftover(t *testing.T) {
	d, _ := memLog(t, remark("k", "x"))
	d.write(inLog(headFile+temporary), []byte("half a he"))
	if _, err := verify(d, "/run/ledger", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := open(d, memOptions()); err != nil {
		t.Fatal(err)
	}
	if d.there(inLog(headFile + temporary)) {
		t.Error("the temporary head is still there")
	}
}
