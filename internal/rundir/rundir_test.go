package rundir

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/vfs"
)

func TestOneHoldsTheFolder(t *testing.T) { synctest.Test(t, oneHoldsTheFolder) }

func oneHoldsTheFolder(t *testing.T) {
	d := Dir(t.TempDir())
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(); !errors.Is(err, ErrInUse) || !d.Locked() {
		t.Errorf("two hold it: %v", err)
	}
	// The holder may be about to end.
	time.AfterFunc(lockWithin/8, unlock)
	again, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	again()
	if d.Locked() {
		t.Error("it is held when nobody does")
	}
}

// TestLookingIsNoHolding looks at a folder from many sides while it is taken.
func TestLookingIsNoHolding(t *testing.T) { synctest.Test(t, lookingIsNoHolding) }

func lookingIsNoHolding(t *testing.T) {
	d := Dir(t.TempDir())
	var lookers sync.WaitGroup
	for range 4 {
		lookers.Go(func() {
			for range 2000 {
				if d.Locked() {
					t.Error("one process that looks at the lock takes another that looks for its holder")
					return
				}
			}
		})
	}
	lookers.Wait()
	f, err := vfs.Open(vfs.OS{}, string(d)) // as Locked does, for longer
	if err == nil {
		err = f.RLock()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockWithin/8, func() { f.Close() })
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestHolderRemovesTheFolder waits for a holder that removes its folder.
func TestHolderRemovesTheFolder(t *testing.T) { synctest.Test(t, holderRemovesTheFolder) }

func holderRemovesTheFolder(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "run"))
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockWithin/8, func() {
		if err := os.RemoveAll(string(d)); err != nil {
			t.Error(err)
		}
		unlock()
	})
	again, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer again()
	if _, err := os.Stat(d.Logs()); err != nil || !d.Locked() {
		t.Errorf("what is held is not the folder: %v", err)
	}
}
