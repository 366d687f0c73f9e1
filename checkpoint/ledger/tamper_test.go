package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

var logFiles = []string{entriesFile, headFile, keyFile}

// memLog is a log in memory with these entries.
func memLog(t testing.TB, entries ...Entry) (memDisk, Head) {
	t.Helper()
	d := newMemDisk()
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Append(entries...)
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return d, h
}

func inLog(name string) string { return filepath.Join("/run/ledger", name) }

// TestEveryBit flips every bit of every file of a log, one at a time, and of a
// head that is held elsewhere.
func TestEveryBit(t *testing.T) {
	d, h := memLog(t, reading("w0", "cpu", 1, 5), remark("k", "x"))
	if _, err := verify(d, "/run/ledger", []NamedHead{{"held", h.Note}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range logFiles {
		good := d.read(inLog(name))
		if len(good) == 0 {
			t.Fatalf("%s is empty", name)
		}
		flipEach(t, name, good, func(bad []byte) error {
			d.write(inLog(name), bad)
			_, err := verify(d, "/run/ledger", nil)
			return err
		})
		d.write(inLog(name), good)
	}
	flipEach(t, "held", h.Note, func(bad []byte) error {
		_, err := verify(d, "/run/ledger", []NamedHead{{"held", bad}})
		return err
	})
}

func flipEach(t *testing.T, name string, good []byte, check func([]byte) error) {
	t.Helper()
	bad := slices.Clone(good)
	for i := range bad {
		for bit := range 8 {
			bad[i] ^= 1 << bit
			var f *Fault
			if err := check(bad); !errors.As(err, &f) {
				t.Errorf("%s: bit %d of byte %d, %q flipped to %q: got %v, want a fault", name, bit, i, good[i], bad[i], err)
			}
			bad[i] ^= 1 << bit
		}
	}
}

// TestEveryType flips one bit of each byte of a log with every type of entry.
func TestEveryType(t *testing.T) {
	d, h := memLog(t, everyType()...)
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	tree := h.Tree()
	if err := l.Resume(4, &tree); err != nil {
		t.Fatal(err)
	}
	good := d.read(inLog(entriesFile))
	if _, err := verify(d, "/run/ledger", nil); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 7)
		d.write(inLog(entriesFile), bad)
		if _, err := verify(d, "/run/ledger", nil); err == nil {
			t.Errorf("byte %d flipped from %q to %q verifies", i, good[i], bad[i])
		}
	}
}

// TestTamper changes the entries of a log of ten as a forger without the key
// could, and expects the place to be named.
func TestTamper(t *testing.T) {
	for name, c := range map[string]struct {
		change func(lines []string) []string
		entry  int64
		why    string
	}{
		"two swapped":    {func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }, 4, "says that it is entry 5"},
		"one dropped":    {func(l []string) []string { return slices.Delete(l, 4, 5) }, 4, "says that it is entry 5"},
		"first dropped":  {func(l []string) []string { return l[1:] }, 0, "says that it is entry 1"},
		"last dropped":   {func(l []string) []string { return l[:len(l)-1] }, 9, "missing"},
		"one repeated":   {func(l []string) []string { return slices.Insert(l, 4, l[3]) }, 4, "says that it is entry 3"},
		"one at the end": {func(l []string) []string { return append(l, l[9]) }, 10, "after the head"},
		"one replaced":   {func(l []string) []string { l[4] = strings.Replace(l[4], `"x4"`, `"y4"`, 1); return l }, 5, "entry 4"},
		"last replaced":  {func(l []string) []string { l[9] = strings.Replace(l[9], `"x9"`, `"y9"`, 1); return l }, 9, "changed"},
		"renumbered": {func(l []string) []string {
			l[5] = strings.Replace(l[5], `"index":5`, `"index":4`, 1)
			return slices.Delete(l, 4, 5)
		}, 4, "does not follow entry 3"},
		"cut short":       {func(l []string) []string { l[4] = l[4][:30]; return l[:5] }, 4, "cut short"},
		"a line too many": {func(l []string) []string { l[4] += "\n"; return l }, 5, "malformed"},
		"space":           {func(l []string) []string { l[4] = strings.Replace(l[4], ":", ": ", 1); return l }, 4, "canonical"},
		"field too many":  {func(l []string) []string { l[4] = strings.Replace(l[4], "{", `{"more":1,`, 1); return l }, 4, "canonical"},
		"newer schema":    {func(l []string) []string { l[4] = strings.Replace(l[4], `"v":1`, `"v":2`, 1); return l }, 4, "version 2"},
		"not json":        {func(l []string) []string { l[4] = "?\n"; return l }, 4, "malformed"},
		"too long":        {func(l []string) []string { l[4] = strings.Repeat("x", maxLine) + "\n"; return l }, 4, "longer"},
		"empty":           {func([]string) []string { return nil }, 0, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			o := tenEntries(t)
			writeLines(t, o.Dir, c.change(readLines(t, o.Dir))...)
			_, err := Verify(o.Dir)
			wantFault(t, err, "ledger/entries", c.entry, c.why)
			if _, err := Open(o); err == nil && c.entry < 10 {
				t.Error("the log opens for writing")
			}
		})
	}
}

// tenEntries is a closed log of ten entries.
func tenEntries(t *testing.T) Options {
	t.Helper()
	o := testOptions(t)
	l := mustOpen(t, o)
	for _, text := range strings.Fields("x1 x2 x3 x4 x5 x6 x7 x8 x9") {
		mustAppend(t, l, remark("", text))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTruncated cuts the entries file at every byte.
func TestTruncated(t *testing.T) {
	d, _ := memLog(t, reading("w0", "cpu", 1, 5), remark("k", "x"))
	good := d.read(inLog(entriesFile))
	for n := range good {
		d.write(inLog(entriesFile), good[:n])
		_, err := verify(d, "/run/ledger", nil)
		wantFault(t, err, "ledger/entries", int64(strings.Count(string(good[:n]), "\n")), "")
	}
}

// TestHeldHead holds heads elsewhere. They show what the files alone cannot.
func TestHeldHead(t *testing.T) {
	d, h := memLog(t, remark("a", "x"))
	early := d.afterLoss(memfs.KeepAll)
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	later, err := l.Append(remark("b", "x"))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("the last entry dropped, with its head", func(t *testing.T) {
		if _, err := verify(early, "/run/ledger", nil); err != nil {
			t.Fatal(err) // an earlier state is a valid log
		}
		_, err := verify(early, "/run/ledger", []NamedHead{{"published", later.Note}})
		wantFault(t, err, "published", -1, "covers 3 entries, the ledger has 2")
	})
	t.Run("written again with the same key", func(t *testing.T) {
		forged := newMemDisk()
		forged.write(memOptions().KeyPath, d.read(memOptions().KeyPath))
		l, err := open(forged, memOptions())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(remark("a", "better"), remark("b", "x"), remark("c", "x")); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(forged, "/run/ledger", nil); err != nil {
			t.Fatal(err)
		}
		_, err = verify(forged, "/run/ledger", []NamedHead{{"checkpoint 4", h.Note}})
		wantFault(t, err, "checkpoint 4", -1, "not the first 2")
	})
	t.Run("of another key", func(t *testing.T) {
		_, other := memLog(t, remark("a", "x"))
		_, err := verify(d, "/run/ledger", []NamedHead{{"published", other.Note}})
		wantFault(t, err, "published", -1, "not signed by the key")
	})
	t.Run("of another run", func(t *testing.T) {
		s, _, err := makeKey(newMemDisk(), "/k", "run-2")
		if err != nil {
			t.Fatal(err)
		}
		other, err := signHead(s, 1, emptyRoot)
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify(d, "/run/ledger", []NamedHead{{"published", other.Note}})
		wantFault(t, err, "published", -1, "not signed by the key")
	})
	t.Run("nothing", func(t *testing.T) {
		_, err := verify(d, "/run/ledger", []NamedHead{{"published", nil}})
		wantFault(t, err, "published", -1, "malformed")
	})
}

// TestForger has the key, and signs what does not add up.
func TestForger(t *testing.T) {
	holed := func(e Entry) []Entry { return []Entry{reading("w0", "cpu", 1, 5), e} }
	for name, c := range map[string]struct {
		entries []Entry
		entry   int64
		why     string
	}{
		"record 2 is missing":           {holed(reading("w0", "cpu", 3, 5)), 2, "records 2 to 2 of meter cpu of worker w0"},
		"records begin with 4":          {[]Entry{gap("w1", "cpu", 1), reading("w0", "cpu", 4, 5)}, 2, "records 1 to 3"},
		"a hole, then one that is said": {append(holed(reading("w0", "cpu", 3, 5)), gap("w0", "cpu", 9)), 2, "records 2 to 2"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := memLog(t, c.entries...)
			_, err := verify(d, "/run/ledger", nil)
			wantFault(t, err, "ledger/entries", c.entry, c.why)
		})
	}
	t.Run("a hole that a gap states", func(t *testing.T) {
		d, _ := memLog(t, append(holed(gap("w0", "cpu", 5)), reading("w0", "cpu", 6, 5))...)
		a, err := verify(d, "/run/ledger", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Lost != 3 || len(a.Gaps) != 1 || a.GapSeconds != 2 {
			t.Errorf("lost %d, gaps %v, %v s", a.Lost, a.Gaps, a.GapSeconds)
		}
	})

	// Entries that Append would not write.
	bad := reading("w0", "cpu", 1, 5)
	bad.Reading.Parts[0].MicroJ++
	raw := reading("w0", "cpu", 1, 5)
	raw.Reading.RawEnd = 99
	for name, c := range map[string]struct {
		entry Entry
		why   string
	}{
		"parts do not add up":       {bad, "parts add up to 6"},
		"raw numbers do not fit":    {raw, "raw numbers give 94"},
		"started again":             {Entry{Started: &Started{Run: testRun}}, "begins with its one entry"},
		"a key again":               {remark("k", "y"), "in the log twice"},
		"resumed from another":      {Entry{Resumed: &Resumed{Prior: Tree{2, emptyRoot.String()}}}, "not this one"},
		"a proof of nothing":        {Entry{Resumed: &Resumed{Prior: Tree{2, emptyRoot.String()}, Proof: []string{"x"}}}, "proof of nothing"},
		"a root that is none":       {Entry{Resumed: &Resumed{Prior: Tree{2, "x"}}}, "not a hash"},
		"a checkpoint without hash": {Entry{Checkpoint: &Checkpoint{1, "f", ""}}, "SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := memLog(t, remark("k", "x"))
			forge(t, d, c.entry)
			_, err := verify(d, "/run/ledger", nil)
			wantFault(t, err, "ledger/entries", 2, c.why)
		})
	}
	t.Run("a prefix that is none", func(t *testing.T) {
		d, h := memLog(t, remark("k", "x"))
		forge(t, d, Entry{Resumed: &Resumed{Prior: h.Tree(), Step: 7, From: &Tree{1, h.Root.String()}, Proof: []string{h.Root.String()}}})
		_, err := verify(d, "/run/ledger", nil)
		wantFault(t, err, "ledger/entries", 2, "checkpoint of step 7, 1 entries, is not a prefix")
	})
}

// forge appends an entry to a log with its own key, without any check.
func forge(t *testing.T, d memDisk, e Entry) {
	t.Helper()
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	e.Version, e.Index, e.Prev, e.Time = Version, l.state.tree.size, l.state.link(), l.now()
	e.Type, _ = e.body()
	line, err := encode(e)
	if err != nil {
		t.Fatal(err)
	}
	l.state.accept(&Entry{Index: e.Index}, line[:len(line)-1])
	h, err := signHead(l.signer, l.state.tree.size, l.state.tree.root())
	if err != nil {
		t.Fatal(err)
	}
	d.write(inLog(entriesFile), append(d.read(inLog(entriesFile)), line...))
	d.write(inLog(headFile), h.Note)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBehindTheHead has what a writer that died left behind the head.
func TestBehindTheHead(t *testing.T) {
	d, _ := memLog(t, remark("a", "x"))
	head := d.read(inLog(headFile))
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	covered := len(d.read(inLog(entriesFile)))
	if _, err := l.Append(reading("w0", "cpu", 1, 5), remark("b", "x")); err != nil {
		t.Fatal(err)
	}
	all := d.read(inLog(entriesFile))
	for n := covered; n <= len(all); n++ {
		left := d.afterLoss(memfs.KeepAll)
		left.write(inLog(headFile), head)
		left.write(inLog(entriesFile), all[:n])
		a, err := verify(left, "/run/ledger", nil)
		if err != nil {
			t.Fatalf("%d bytes behind the head: %v", n-covered, err)
		}
		if want := int64(strings.Count(string(all[covered:n]), "\n")); a.Behind != want || a.Entries != 2 || a.Total != 0 {
			t.Fatalf("%d bytes behind the head: %d entries, want %d; %d are counted", n-covered, a.Behind, want, a.Entries)
		}
		l, err := open(left, memOptions())
		if err != nil {
			t.Fatal(err)
		}
		if l.Has("b") || len(left.read(inLog(entriesFile))) != covered {
			t.Fatalf("%d bytes behind the head were not cut off", n-covered)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	for _, name := range logFiles {
		o := tenEntries(t)
		if err := os.Remove(filepath.Join(o.Dir, name)); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(o.Dir)
		wantFault(t, err, "ledger/"+name, -1, "missing")
	}
	if _, err := Verify(t.TempDir()); err == nil {
		t.Error("an empty folder verifies")
	}
}

// whenOpened does something before a file is opened for reading.
type whenOpened struct {
	memDisk
	name string
	do   func()
}

func (d whenOpened) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if name == d.name && flag == os.O_RDONLY {
		d.do()
	}
	return d.memDisk.OpenFile(name, flag, perm)
}

// TestHeadMovesOn appends between the moment that Verify reads the head and that
// at which it reads the entries: what comes after the head is then no remainder.
func TestHeadMovesOn(t *testing.T) {
	d, h := memLog(t, reading("w0", "cpu", 1, 5))
	l, err := open(d, memOptions())
	if err != nil {
		t.Fatal(err)
	}
	moving := whenOpened{d, inLog(entriesFile), func() { mustAppend(t, l, reading("w0", "cpu", 2, 5)) }}
	a, err := verify(moving, "/run/ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Entries != h.Size || a.Total != 5 || a.Behind != 0 {
		t.Errorf("%d entries, %d µJ, %d behind the head; want %d, 5 and none", a.Entries, a.Total, a.Behind, h.Size)
	}
}
