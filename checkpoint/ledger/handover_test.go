package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// TestHandover lets one key after another go on with a log. Heads of each stay
// verifiable, and the account says which key vouches for which.
func TestHandover(t *testing.T) {
	o := testOptions(t)
	var heads []NamedHead
	session := func(key, old string, entries ...Entry) {
		t.Helper()
		o.KeyPath, o.OldKey = filepath.Join(filepath.Dir(o.Dir), key), ""
		if old != "" {
			o.OldKey = filepath.Join(filepath.Dir(o.Dir), old)
		}
		l := mustOpen(t, o)
		heads = append(heads, NamedHead{key, l.Head().Note})
		h := mustAppend(t, l, entries...)
		heads = append(heads, NamedHead{key, h.Note})
		for _, h := range heads {
			if _, err := l.Extends(h); err != nil {
				t.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		a := mustVerify(t, o.Dir, heads...)
		if saved, err := Checkpoints(o.Dir); err != nil || len(saved) != len(a.Checkpoints) {
			t.Errorf("%d checkpoints: %v", len(saved), err)
		}
	}
	session("first", "", everyType()...)
	o.Handover = "why"
	session("second", "first", reading("w0", "cpu", 3, 1), gap("w0", "cpu", 4))
	session("second", "", remark("", "the same key"))
	session("third", "", remark("", "a copy without the key"))
	session("fourth", "first", remark("", "a key of long ago vouches for none"))
	session("second", "fourth", remark("", "a key comes back"))

	a := mustVerify(t, o.Dir, heads...)
	var signed []bool
	for i, h := range a.Handovers {
		signed = append(signed, h.Signed)
		if h.Reason != "why" || i > 0 && h.From != a.Handovers[i-1].To {
			t.Errorf("%+v", h)
		}
	}
	if !slices.Equal(signed, []bool{true, false, false, true}) || a.PublicKey != a.Handovers[0].From {
		t.Errorf("handovers %+v", a.Handovers)
	}
	if text := a.String(); strings.Count(text, "key not available: continued by a new key") != 2 || strings.Count(text, "the previous key signed this") != 2 {
		t.Errorf("the account says\n%s", text)
	}
	// Without a reason no other key goes on.
	o.KeyPath, o.Handover = filepath.Join(filepath.Dir(o.Dir), "fifth"), ""
	if _, err := Open(o); err == nil {
		t.Error("another key goes on, and nobody wanted it to")
	}
}

// handedOver is a log that was handed over, and its options.
func handedOver(t testing.TB, signed bool) (memDisk, Options) {
	t.Helper()
	d, _ := memLog(t, reading("w0", "cpu", 1, 5))
	o := memOptions()
	if o.KeyPath, o.Handover = "/run/keys/other", "why"; signed {
		o.OldKey = memOptions().KeyPath
	}
	l, err := open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, remark("k", "x"))
	return d, o
}

// TestEveryBitAfterAHandover flips every bit of every file.
func TestEveryBitAfterAHandover(t *testing.T) {
	for _, signed := range []bool{true, false} {
		d, _ := handedOver(t, signed)
		if a, err := verify(d, "/run/ledger", nil); err != nil || len(a.Handovers) != 1 || a.Handovers[0].Signed != signed {
			t.Fatal(a, err)
		}
		for _, name := range logFiles {
			good := d.read(inLog(name))
			flipEach(t, name, good, func(bad []byte) error {
				d.write(inLog(name), bad)
				_, err := verify(d, "/run/ledger", nil)
				return err
			})
			d.write(inLog(name), good)
		}
	}
}

// TestForgedHandover has no key, or not the right one.
func TestForgedHandover(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *Handover, d memDisk)
		why    string
	}{
		"signed by nobody":        {func(h *Handover, _ memDisk) { h.Signed = true }, "has not signed it"},
		"from another key":        {func(h *Handover, d memDisk) { h.From = publicAt(d, "/run/keys/forger") }, "a key that did not sign"},
		"of a shorter log":        {func(h *Handover, _ memDisk) { h.Prior.Size-- }, "is not this one"},
		"without the head before": {func(h *Handover, _ memDisk) { h.Note = "x" }, "not the head of the log before"},
		"to the same key":         {func(h *Handover, _ memDisk) { h.To = h.From }, "to itself"},
		"to no key":               {func(h *Handover, _ memDisk) { h.To = "x" }, "key"},
	} {
		t.Run(name, func(t *testing.T) {
			d, head := memLog(t, remark("k", "x"))
			for _, path := range []string{"/run/keys/other", "/run/keys/forger"} {
				if _, _, err := makeKey(d, path, testRun); err != nil {
					t.Fatal(err)
				}
			}
			h := &Handover{Prior: head.Tree(), From: publicAt(d, memOptions().KeyPath), To: publicAt(d, "/run/keys/other"), Note: string(head.Note)}
			c.change(h, d)
			forge(t, d, Entry{Handover: h})
			_, err := verify(d, "/run/ledger", nil)
			wantFault(t, err, "ledger/entries", 2, c.why)
		})
	}
	t.Run("a head of the key that handed over", func(t *testing.T) {
		d, _ := handedOver(t, true)
		old, _, err := readKey(d, memOptions().KeyPath, testRun)
		if err != nil {
			t.Fatal(err)
		}
		stands, err := readSmallFiles(d, "/run/ledger")
		if err != nil {
			t.Fatal(err)
		}
		forged, err := signHead(old, stands.head.Size, stands.head.Root)
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify(d, "/run/ledger", []NamedHead{{"elsewhere", forged.Note}})
		wantFault(t, err, "elsewhere", -1, "not signed by the key that signed the ledger")
		d.write(inLog(headFile), forged.Note)
		_, err = verify(d, "/run/ledger", nil)
		wantFault(t, err, "ledger/head", -1, "not signed by the key that the entries name")
		longer, err := signHead(old, stands.head.Size+1, stands.head.Root)
		if err != nil {
			t.Fatal(err)
		}
		d, _ = handedOver(t, true)
		_, err = verify(d, "/run/ledger", []NamedHead{{"elsewhere", longer.Note}})
		wantFault(t, err, "elsewhere", -1, "")
	})
}

func publicAt(d memDisk, path string) string {
	_, public, err := readKey(d, path, testRun)
	if err != nil {
		return err.Error()
	}
	return public
}

// TestCrashOfAHandover cuts the power before each operation of one. The next start
// goes on.
func TestCrashOfAHandover(t *testing.T) {
	o := memOptions()
	o.KeyPath, o.OldKey, o.Handover = "/run/keys/other", memOptions().KeyPath, "why"
	for stop, finished := 0, false; !finished; stop++ {
		d, _ := memLog(t, reading("w0", "cpu", 1, 5))
		left := stop
		d.Hook(func(memfs.Op) error {
			if left--; left < 0 {
				return errPowerLost
			}
			return nil
		})
		_, err := open(d, o)
		if finished = err == nil; !finished && !errors.Is(err, errPowerLost) {
			t.Fatal(err)
		}
		for name, keep := range map[string]memfs.Keep{"all": memfs.KeepNone, "none": memfs.KeepAll, "some": memfs.KeepSome(uint64(stop))} {
			after := d.afterLoss(keep)
			if _, err := verify(after, "/run/ledger", nil); err != nil {
				t.Fatalf("power lost before operation %d, losing %s: %v", stop, name, err)
			}
			if _, err := open(after, o); err != nil {
				t.Fatalf("power lost before operation %d, losing %s: %v", stop, name, err)
			}
			if a, err := verify(after, "/run/ledger", nil); err != nil || len(a.Handovers) != 1 || !a.Handovers[0].Signed {
				t.Fatalf("power lost before operation %d, losing %s: %v %v", stop, name, a, err)
			}
		}
	}
	if _, err := PublicKey(filepath.Join(t.TempDir(), "none"), testRun); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
