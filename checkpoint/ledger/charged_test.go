package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
)

// TestCharged says of two hosts which process was charged for what their counters counted: a
// log that holds it opens and verifies like any other, and what is in another run's
// account is no gap of this one's meters.
func TestCharged(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	counted := reading("w0", "rapl:package-0", 1, 100)
	counted.Reading.Load = &energy.Load{HostNanos: 4e9, RunNanos: 1e9, Runs: map[string]int64{"run-2": 2e9}}
	again := reading("w0", "rapl:package-0", 2, 50)
	again.Reading.Load = &energy.Load{HostNanos: 4e9, RunNanos: 1e9}
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	elsewhere := func(seq uint64, from, to int64) Entry {
		e := gap("w1", "cpu", seq)
		e.Gap.Start, e.Gap.End = from*1e9, to*1e9
		e.Gap.WallStart, e.Gap.WallEnd = wall+from*1e9, wall+to*1e9
		e.Gap.CountedBy, e.Gap.ProcessorNanos = "run-2", 3e9
		return e
	}
	mustAppend(t, l, counted, again, elsewhere(1, 0, 10), elsewhere(2, 10, 30), gap("w1", "memory", 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again.Reading.Seq = 3
	mustAppend(t, mustOpen(t, o), again)

	a := mustVerify(t, o.Dir)
	if len(a.Gaps) != 1 || a.GapSeconds != 2 || a.Total != 200 || len(a.Charged) != 2 {
		t.Fatalf("%d gaps of %v s, %d µJ, %d hosts", len(a.Gaps), a.GapSeconds, a.Total, len(a.Charged))
	}
	if got := a.Charged[0].Load; got.HostNanos != 12e9 || got.RunNanos != 3e9 || got.Runs["run-2"] != 2e9 || got.OthersShare() != 0.75 {
		t.Errorf("%+v", got)
	}
	if got := a.Charged[1].Elsewhere; len(got) != 1 || got[0].Seconds != 30 || got[0].ProcessorNanos != 6e9 || got[0].Run != "run-2" || got[0].Records != 2 {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{
		"host host-w0: its counters were read by this run, which is charged for all that they count; other processes used 75 % of the processor time in that time (run run-2 17 %)\n",
		"host host-w1: its counters were read by run run-2 for 30.0 s, from 2026-03-01 12:00:00 to 12:00:30 UTC: the energy of this run's processes in that time, with 6.0 s of processor time, is in that run's account\n",
		"gaps: 1, in which meters gave nothing for 2.0 s\n",
	} {
		if !strings.Contains(a.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, a)
		}
	}
}
