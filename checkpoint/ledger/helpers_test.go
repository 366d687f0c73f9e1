package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

const testRun = "run-1"

// testOptions are of a log in a new folder, with a clock that goes by seconds.
func testOptions(t testing.TB) Options {
	t.Helper()
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Options{
		Dir: filepath.Join(dir, "ledger"), KeyPath: filepath.Join(dir, "keys", "signing.key"),
		Run: testRun, SpecHash: "5bec", Software: "gramme test",
		Now: func() time.Time { now = now.Add(time.Second); return now },
	}
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustAppend(t testing.TB, l *Log, entries ...Entry) Head {
	t.Helper()
	h, err := l.Append(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustVerify(t testing.TB, dir string, heads ...NamedHead) *Account {
	t.Helper()
	a, err := Verify(dir, heads...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func source(worker, meter string, seq uint64) energy.Source {
	kind, _, _ := strings.Cut(meter, ":")
	return energy.Source{
		Run: testRun, Worker: worker, Incarnation: worker + "-1", Host: "host-" + worker, BootID: "boot",
		Meter: meter, Kind: kind, Seq: seq,
	}
}

// reading is of the given energy, a part compute and the rest idle.
func reading(worker, meter string, seq uint64, uj int64) Entry {
	method := energy.Counter
	if meter == "memory" {
		method = energy.Estimated
	}
	start := int64(seq) * 1e9
	return Entry{Reading: &energy.Reading{
		Source: source(worker, meter, seq), Method: method, Scope: energy.Process,
		Span: energy.Span{Start: start, End: start + 1e9, WallStart: 1, WallEnd: 2},
		Unit: "uJ", RawStart: 5, RawEnd: 5 + uint64(uj), Num: 1, Den: 1, MicroJ: uj,
		Parts: []energy.Part{
			{Phase: energy.Compute, Generation: 1, FirstStep: seq, LastStep: seq, MicroJ: uj / 3, Nanos: 4e8},
			{Phase: energy.Idle, Generation: 1, FirstStep: seq, LastStep: seq, MicroJ: uj - uj/3, Nanos: 6e8},
		},
	}}
}

func gap(worker, meter string, seq uint64) Entry {
	start := int64(seq) * 1e9
	return Entry{Gap: &energy.Gap{
		Source: source(worker, meter, seq), Span: energy.Span{Start: start, End: start + 2e9},
		FirstStep: seq, LastStep: seq + 1, Reason: "the counter could not be read",
	}}
}

func remark(key, text string) Entry {
	return Entry{Key: key, Note: &Note{Kind: NoteRemark, Text: text}}
}

// everyType is a log's worth of entries, one of each type that Append takes.
func everyType() []Entry {
	return []Entry{
		{Key: "membership/1", Membership: &Membership{Generation: 1, Members: []string{"w0", "w1"}, Reason: "the run begins"}},
		reading("w0", "cpu", 1, 3_000_001),
		reading("w1", "memory", 1, 7),
		gap("w0", "cpu", 2),
		{Key: "steps/1-4", Steps: &Steps{FirstStep: 1, LastStep: 4, Generation: 1, Samples: 128, Tokens: 16384, Loss: 10.25}},
		{Key: "checkpoint/4", Checkpoint: &Checkpoint{4, "step-00000004", strings.Repeat("ab", 32)}},
		{Key: "carbon", Carbon: &energy.Factor{Country: "FRA", GramsPerKWh: 44, Year: 2024, PUE: 1.25, Origin: "Ember"}},
		remark("", "a <remark> with “marks” & \u2028"),
	}
}

// wantFault checks that err names this place; entry -2 is any.
func wantFault(t *testing.T, err error, file string, entry int64, reason string) {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a fault", err)
	}
	if f.File != file || entry != -2 && f.Entry != entry || !strings.Contains(f.Reason, reason) {
		t.Fatalf("got %q\nwant one of %s, entry %d, with %q", err, file, entry, reason)
	}
}

func readLines(t testing.TB, dir string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, entriesFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	return lines[:len(lines)-1]
}

func writeLines(t testing.TB, dir string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, entriesFile), []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func randomEntry(r *rand.Rand) Entry {
	worker, meter := fmt.Sprintf("w%d", r.IntN(3)), []string{"cpu", "memory"}[r.IntN(2)]
	switch r.IntN(3) {
	case 0:
		return remark(fmt.Sprintf("note/%d", r.IntN(30)), "x")
	case 1:
		return reading(worker, meter, 1+r.Uint64N(40), r.Int64N(1e9))
	}
	return gap(worker, meter, 1+r.Uint64N(40))
}
