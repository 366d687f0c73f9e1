package ledger

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs"
)

func TestRoundTrip(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	wrote := everyType()
	first := mustAppend(t, l, wrote[:3]...)
	last := mustAppend(t, l, wrote[3:]...)
	if first.Size != 4 || last.Size != int64(len(wrote))+1 || l.Head().Root != last.Root {
		t.Fatalf("heads of %d and %d entries", first.Size, last.Size)
	}
	var read []Entry
	state := newReplay(testRun, mustVerify(t, o.Dir).PublicKey)
	err := walk(o.Dir, l.entries, last, &state, func(e Entry) error { read = append(read, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if s := read[0].Started; s == nil || s.Run != testRun || s.SpecHash != "5bec" || s.Software != "gramme test" {
		t.Errorf("the log begins with %+v", read[0])
	}
	for i, e := range read[1:] {
		if e.Time.IsZero() || e.Prev == "" {
			t.Errorf("entry %d has no time or no link", i+1)
		}
		want, err := encode(Entry{Version: 1, Index: int64(i + 1), Prev: e.Prev, Time: e.Time, Type: e.Type, Key: wrote[i].Key,
			Reading: wrote[i].Reading, Gap: wrote[i].Gap, Membership: wrote[i].Membership, Steps: wrote[i].Steps,
			Checkpoint: wrote[i].Checkpoint, Carbon: wrote[i].Carbon, Note: wrote[i].Note})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := encode(e); string(got) != string(want) {
			t.Errorf("entry %d is\n%s, not\n%s", i+1, got, want)
		}
	}
	// Heads seen on the way, in any order, the same twice, are prefixes.
	mustVerify(t, o.Dir, NamedHead{"last", last.Note}, NamedHead{"first", first.Note}, NamedHead{"again", first.Note})
}

// nameOf says what an entry counts once by.
func nameOf(e Entry) string {
	if k, ok := e.record(); ok {
		return fmt.Sprint(k)
	}
	return e.Key
}

// TestCountedOnce appends at random, with many duplicates, in batches and over
// several openings. The oracle is a map.
func TestCountedOnce(t *testing.T) {
	o := testOptions(t)
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string]Entry{}
	l := mustOpen(t, o)
	for range 60 {
		batch := make([]Entry, r.IntN(8))
		for i := range batch {
			e := randomEntry(r)
			there := l.Has(e.Key)
			if k, ok := e.record(); ok {
				there = l.state.counted.hasRecord(k)
			}
			if _, had := want[nameOf(e)]; there != had {
				t.Fatalf("%s: there is %v", nameOf(e), there)
			}
			batch[i] = e
		}
		h := mustAppend(t, l, batch...)
		for _, e := range batch {
			if _, had := want[nameOf(e)]; !had {
				want[nameOf(e)] = e
			}
		}
		total := int64(0)
		for _, e := range want {
			if e.Reading != nil {
				total += e.Reading.MicroJ
			}
		}
		if h.Size != int64(len(want))+1 || l.state.microJ != total {
			t.Fatalf("%d entries with %d µJ, want %d with %d", h.Size, l.state.microJ, len(want)+1, total)
		}
		if r.IntN(5) == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, o)
			if l.state.microJ != total {
				t.Fatalf("%d µJ after opening again, want %d", l.state.microJ, total)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	before := mustAppend(t, l, reading("w0", "cpu", 1, 5))
	foreign := reading("w0", "cpu", 2, 5)
	foreign.Reading.Run = "another"
	foreignGap := gap("w0", "cpu", 2)
	foreignGap.Gap.Run = ""
	short := reading("w0", "cpu", 2, 5)
	short.Reading.Parts = short.Reading.Parts[:1]
	huge := reading("w0", "cpu", 2, math.MaxInt64-3)
	two := reading("w0", "cpu", 2, 5)
	two.Note = &Note{Kind: NoteRemark}
	for name, c := range map[string]struct {
		entry Entry
		why   string
	}{
		"nothing":                 {Entry{}, "one body"},
		"two bodies":              {two, "one body"},
		"a first entry":           {Entry{Started: &Started{Run: testRun}}, "written by Open"},
		"a resume":                {Entry{Resumed: &Resumed{}}, "Resume"},
		"parts that do not add":   {short, "add up"},
		"a reading of elsewhere":  {foreign, `run "another"`},
		"a gap of nowhere":        {foreignGap, `run ""`},
		"more than an int64":      {huge, "overflows"},
		"text that is not UTF-8":  {remark("", "\xff"), "canonical"},
		"more skipped than there": {Entry{Steps: &Steps{FirstStep: 1, LastStep: 2, Skipped: 3}}, "more are skipped"},
		"losses of no step":       {Entry{Steps: &Steps{FirstStep: 1, LastStep: 2, Losses: &Losses{}}}, "none has"},
		"steps backwards":         {Entry{Steps: &Steps{FirstStep: 2, LastStep: 1}}, "backwards"},
		"a checkpoint of nothing": {Entry{Checkpoint: &Checkpoint{1, "step-1", "ab"}}, "SHA-256"},
		"more than a line holds":  {remark("", strings.Repeat("x", maxLine)), "too long"},
		"a year without digits":   {Entry{Time: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), Note: &Note{}}, "year"},
	} {
		_, err := l.Append(remark("good", "x"), c.entry)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Position != 1 || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want one that says %q", name, err, c.why)
		}
	}
	if l.Head().Size != before.Size || l.Has("good") {
		t.Error("a part of a refused call was appended")
	}
	if mustAppend(t, l, remark("good", strings.Repeat("x", maxLine-300))).Size != before.Size+1 {
		t.Error("a long entry is not there")
	}
	mustVerify(t, o.Dir)
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Options) error
		file   string // of the fault, if it is one
		why    string
	}{
		"another run":          {func(o *Options) error { o.Run = "run-2"; return nil }, "", "of log"},
		"another spec":         {func(o *Options) error { o.SpecHash = "dead"; return nil }, "", "not dead"},
		"no name":              {func(o *Options) error { o.Run = ""; return nil }, "", "not the name of a run"},
		"a name no key can be": {func(o *Options) error { o.Run = "a+b"; return nil }, "", "not the name of a run"},
		"no private key":       {func(o *Options) error { return os.Remove(o.KeyPath) }, "", "signing key"},
		"no public key":        {func(o *Options) error { return os.Remove(filepath.Join(o.Dir, keyFile)) }, "ledger/key", "missing"},
		"no head":              {func(o *Options) error { return os.Remove(filepath.Join(o.Dir, headFile)) }, "ledger/head", "missing"},
		"no entries":           {func(o *Options) error { return os.Remove(filepath.Join(o.Dir, entriesFile)) }, "ledger/entries", "missing"},
		"a changed entry": {func(o *Options) error {
			name := filepath.Join(o.Dir, entriesFile)
			b, err := os.ReadFile(name)
			return errors.Join(err, os.WriteFile(name, []byte(strings.Replace(string(b), "the run begins", "the run ENDS!!", 1)), 0o644))
		}, "ledger/entries", "entry 1"},
		"another private key": {func(o *Options) error {
			_, _, err := makeKey(vfs.OS{}, o.KeyPath, o.Run)
			return err
		}, "ledger/key", "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			l := mustOpen(t, o)
			mustAppend(t, l, everyType()...)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.change(&o); err != nil {
				t.Fatal(err)
			}
			_, err := Open(o)
			if c.file != "" {
				wantFault(t, err, c.file, -2, c.why)
			} else if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want one that says %q", err, c.why)
			}
		})
	}
}

func TestOneWriter(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(remark("", "x")); !errors.Is(err, errClosed) {
		t.Errorf("append to a closed ledger: %v", err)
	}
	if err := l.Resume(0, nil); !errors.Is(err, errClosed) {
		t.Errorf("resume of a closed ledger: %v", err)
	}
	mustOpen(t, o)
}

func TestPrivateKeyIsPrivate(t *testing.T) {
	o := testOptions(t)
	mustOpen(t, o)
	info, err := os.Stat(o.KeyPath)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the signing key has mode %v", info.Mode())
	}
	for _, name := range []string{entriesFile, headFile, keyFile} {
		b, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "PRIVATE") {
			t.Errorf("%s holds the private key", name)
		}
	}
}

// TestResume proves prefixes of every length, and refuses what is none.
func TestResume(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	trees := []Tree{l.Head().Tree()}
	for i := range 20 {
		trees = append(trees, mustAppend(t, l, remark("", fmt.Sprint(i))).Tree())
	}
	for i, tree := range trees {
		if err := l.Resume(uint64(i), &tree); err != nil {
			t.Fatalf("from %d entries: %v", tree.Size, err)
		}
	}
	now := l.Head().Tree()
	if err := l.Resume(100, &now); err != nil {
		t.Fatal(err)
	}
	if err := l.Resume(0, nil); err != nil {
		t.Fatal(err)
	}
	a := mustVerify(t, o.Dir)
	if len(a.Resumes) != len(trees)+2 || a.Resumes[3].Step != 3 || *a.Resumes[3].From != trees[3] {
		t.Errorf("resumes %+v", a.Resumes)
	}
	size := l.Head().Size
	for name, from := range map[string]*Tree{
		"of a later log":   {size + 1, trees[0].Root},
		"of another log":   {5, trees[5].Root},
		"of no log":        {0, emptyRoot.String()},
		"of less":          {-1, trees[0].Root},
		"without a root":   {1, ""},
		"of another root":  {size, trees[0].Root},
		"badly spelt root": {1, strings.TrimSuffix(trees[0].Root, "=")},
	} {
		if err := l.Resume(1, from); err == nil {
			t.Errorf("resumed from a checkpoint %s", name)
		}
	}
	if l.Head().Size != size {
		t.Error("a refused resume was appended")
	}
}

// TestVerifyBesideWriter verifies again and again while entries are appended.
func TestVerifyBesideWriter(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	var writer sync.WaitGroup
	done := make(chan struct{})
	writer.Go(func() {
		defer close(done)
		for seq := range uint64(150) {
			if _, err := l.Append(reading("w0", "cpu", seq+1, 1), reading("w1", "cpu", seq+1, 1)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		h := l.Head()
		a := mustVerify(t, o.Dir, NamedHead{"a moment ago", h.Note})
		if a.Entries < h.Size || a.Total != a.Entries-1 {
			t.Fatalf("%d entries and %d µJ after a head of %d", a.Entries, a.Total, h.Size)
		}
	}
	writer.Wait()
}

// TestQuickEntry compares what Open reads of a line with all that stands in it.
func TestQuickEntry(t *testing.T) {
	odd := reading(`w"0\`, "cpu:<&>,\"seq\":9,", 7, 42)
	odd.Reading.Incarnation = "\u2028 \x00 ü"
	odd.Key = `,"uj":1`
	for _, e := range append(everyType(), odd, remark(`a "key" \ `, `,"key":"x"`), remark(`,"type":"gap"`, "")) {
		var err error
		if e.Type, err = e.body(); err != nil {
			t.Fatal(err)
		}
		e.Version = Version
		line, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		checkQuickEntry(t, line[:len(line)-1], e)
	}
	for _, line := range []string{"", `{}`, `,"type":"reading"`, `,"type":"reading","worker":"`, `,"type":"reading","worker":"\`,
		`,"type":"gap","worker":"w","incarnation":"i","meter":"m","seq":-1`, `,"type":"note`, `,"type":"note","key":"`} {
		if e, ok := quickEntry([]byte(line)); ok {
			t.Errorf("%s: read as %+v", line, e)
		}
	}
}

func checkQuickEntry(t *testing.T, line []byte, want Entry) {
	t.Helper()
	got, ok := quickEntry(line)
	wantKey, isRecord := want.record()
	gotKey, gotRecord := got.record()
	switch {
	case !ok:
		t.Errorf("cannot read %s", line)
	case gotRecord != isRecord || gotKey != wantKey || (got.Gap != nil) != (want.Gap != nil):
		t.Errorf("%s\nis record %+v, not %+v", line, wantKey, gotKey)
	case !isRecord && got.Key != want.Key:
		t.Errorf("%s\nhas key %q, not %q", line, want.Key, got.Key)
	case want.Reading != nil && got.Reading.MicroJ != want.Reading.MicroJ:
		t.Errorf("%s\nis %d µJ, not %d", line, want.Reading.MicroJ, got.Reading.MicroJ)
	}
}

func TestMetersAreKeptApart(t *testing.T) {
	l := mustOpen(t, testOptions(t))
	mustAppend(t, l, reading("w0", "cpu", 1, 5))
	for _, k := range []energy.Key{
		{Worker: "w1", Incarnation: "w0-1", Meter: "cpu", Seq: 1}, {Worker: "w0", Incarnation: "w0-2", Meter: "cpu", Seq: 1},
		{Worker: "w0", Incarnation: "w0-1", Meter: "gpu", Seq: 1}, {Worker: "w0", Incarnation: "w0-1", Meter: "cpu", Seq: 2},
	} {
		if l.state.counted.hasRecord(k) {
			t.Errorf("%+v is there", k)
		}
	}
	if !l.state.counted.hasRecord(source("w0", "cpu", 1).Key()) {
		t.Error("the record is not there")
	}
}
