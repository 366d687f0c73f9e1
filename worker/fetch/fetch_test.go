package fetch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/step"
)

var errGone = errors.New("gone")

// answers maps an action, as said prints it, to what comes of it, one after the other; the
// last one stays.
type answers map[string][]Answer

// said is an action in a few words.
func said(a Action) string {
	switch a := a.(type) {
	case AskInfo:
		return "info " + a.Donor
	case AskPin:
		return fmt.Sprintf("pin %s %d", a.Member, a.Step)
	case GetEntry:
		return fmt.Sprintf("entry %d", a.Step)
	case GetState:
		return fmt.Sprintf("state %d of %s", a.Info.Step, strings.Join(a.From, ","))
	case Wait:
		if a.Event != nil {
			return fmt.Sprintf("%T, wait %s", a.Event, a.For)
		}
		return fmt.Sprintf("wait %s", a.For)
	case End:
		return fmt.Sprintf("%T %v", a.Event, a.Err)
	}
	return "nothing"
}

// play returns all that a fetch does until its end.
func play(t *testing.T, f *Fetch, all answers) (did []string) {
	t.Helper()
	now := time.Unix(100, 0)
	for a := f.Start(); len(did) < 100; {
		what := said(a)
		did = append(did, what)
		switch a := a.(type) {
		case End:
			return did
		case Wait:
			now = now.Add(a.For)
		}
		var answer Answer
		if left := all[what]; len(left) > 0 {
			answer = left[0]
			if len(left) > 1 {
				all[what] = left[1:]
			}
		}
		a = f.Answered(now, answer)
	}
	t.Fatalf("it does not end: %q", did[:10])
	return nil
}

func held(number uint64, digest string) Answer {
	return Answer{Info: wire.SnapshotInfo{Found: true, Step: number, Digest: digest}}
}

// TestFetches shows each kind of fetch, and the ways in which it fails.
func TestFetches(t *testing.T) {
	later, gone, refused := Answer{Err: errGone, Later: true}, Answer{Err: errGone}, Answer{Err: errGone, Refused: true}
	entry := step.FetchEntry{Generation: 2, Step: 5, From: []string{"a", "b"}}
	await := entry
	await.Await = true
	pinned := step.FetchPinned{Generation: 2, Newer: 3, From: []string{"a", "b", "d", "e", "f", "g"}}
	agreed := step.FetchSnapshot{Generation: 2, Step: 5, Digest: "x", From: []string{"a", "b"}}
	stored := step.FetchSnapshot{Generation: 2, Step: 5, From: []string{wire.IDCheckpoint}}
	asked := "info " + wire.IDCheckpoint
	repeated := func(n int, words ...string) (all []string) {
		for range n {
			all = append(all, words...)
		}
		return all
	}
	resume := step.Effect(nil)
	for _, c := range []struct {
		name string
		of   step.Effect
		all  answers
		want []string
	}{
		{"entry", entry, nil, []string{"entry 5", "step.EntryFetched <nil>"}},
		{"entry that is not held", entry, answers{"entry 5": {later}}, []string{"entry 5", "wait 100ms", "step.FetchFailed fetch entry of step 5: gone"}},
		{"entry that has yet to come", await, answers{"entry 5": {later, later, {}}}, []string{"entry 5", "step.UpToDate, wait 10ms", "entry 5", "wait 10ms", "entry 5", "step.EntryFetched <nil>"}},
		{"entry that has passed", await, answers{"entry 5": {later, gone}}, []string{"entry 5", "step.UpToDate, wait 10ms", "entry 5", "step.FetchFailed gone"}},

		{"state", agreed, answers{"info a": {held(5, "x")}}, []string{"info a", "state 5 of a,b", "step.SnapshotFetched <nil>"}},
		{"state of a donor that is behind", agreed, answers{"info a": {held(4, "x")}}, []string{"info a", "wait 100ms", "step.FetchFailed fetch state of step 5: a holds step 4 with digest x"}},
		{"state of a donor that differs", agreed, answers{"info a": {held(5, "y")}}, []string{"info a", "wait 100ms", "step.FetchFailed fetch state of step 5: a holds step 5 with digest y"}},
		{"state of a donor that is gone", agreed, answers{"info a": {gone}}, []string{"info a", "wait 100ms", "step.FetchFailed fetch state of step 5: ask a for its state: gone"}},
		{"state that does not come", agreed, answers{"info a": {held(5, "x")}, "state 5 of a,b": {gone}}, []string{"info a", "state 5 of a,b", "wait 100ms", "step.FetchFailed fetch state of step 5: gone"}},
		{"newer checkpoint", stored, answers{asked: {gone, held(7, "z")}}, []string{asked, "wait 100ms", asked, "state 7 of " + wire.IDCheckpoint, "step.SnapshotFetched <nil>"}},
		{"older checkpoint", stored, answers{asked: {held(4, "z")}}, []string{asked, "wait 100ms", "step.FetchFailed fetch state of step 5: checkpoint holds step 4 with digest z"}},

		{"pinned state of four", pinned, answers{"pin a 0": {gone}, "pin b 0": {held(9, "x")}, "pin d 9": {held(9, "x")}, "pin e 9": {held(9, "x")}, "pin f 9": {held(9, "x")}},
			[]string{"pin a 0", "pin b 0", "pin d 9", "pin e 9", "pin f 9", "state 9 of b,d,e,f", "step.SnapshotFetched <nil>"}},
		{"donors that differ", pinned, answers{"pin a 0": {held(9, "x")}, "pin b 9": {held(9, "y")}, "pin d 9": {held(8, "x")}, "pin e 9": {gone}, "pin f 9": {gone}, "pin g 9": {gone}},
			[]string{"pin a 0", "pin b 9", "pin d 9", "pin e 9", "pin f 9", "pin g 9", "state 9 of a", "step.SnapshotFetched <nil>"}},
		{"donors that are behind", pinned, answers{"pin a 0": {held(3, "x")}}, []string{"pin a 0", "step.FetchFailed a is at step 3, this worker is at 3"}},
		{"no donor", pinned, answers{"pin a 0": {gone}, "pin b 0": {{Info: wire.SnapshotInfo{Step: 4}}}, "pin d 0": {gone}, "pin e 0": {gone}, "pin f 0": {gone}, "pin g 0": {gone}},
			[]string{"pin a 0", "pin b 0", "pin d 0", "pin e 0", "pin f 0", "pin g 0",
				"step.FetchFailed no member pins a state for this worker: gone\nb waits to pin step 4 for another worker\ngone\ngone\ngone\ngone"}},

		{"no checkpoint", resume, answers{asked: {{}}}, []string{asked, "<nil> <nil>"}},
		{"checkpoint", resume, answers{asked: {held(7, "z")}, "state 7 of checkpoint": {gone, {}}}, []string{asked, "state 7 of checkpoint", "wait 250ms", asked, "state 7 of checkpoint", "<nil> <nil>"}},
		{"checkpoint that cannot be read", resume, answers{asked: {refused}}, append(repeated(9, asked, "wait 250ms"), asked, "<nil> ask for a checkpoint: gone")},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(c.of, time.Second)
			if f == nil {
				f = NewResume(time.Second)
			}
			if did := play(t, f, c.all); !slices.Equal(did, c.want) {
				t.Errorf("it does\n%q, not\n%q", did, c.want)
			}
		})
	}
}

// TestADonorThatTakesLongIsLeftOut has one whose pin does not come within a quarter of the
// failure timeout.
func TestADonorThatTakesLongIsLeftOut(t *testing.T) {
	f := New(step.FetchPinned{From: []string{"a", "b"}}, time.Second)
	did := play(t, f, answers{"pin a 0": {held(9, "x")}, "pin b 9": {{Info: wire.SnapshotInfo{Step: 9}}}})
	if n := len(did); n != 1+2*27-1+2 || did[n-2] != "state 9 of a" {
		t.Errorf("%d actions: %q", n, did[n-3:])
	}
}

// TestPieces has a source that fails with a piece in flight.
func TestPieces(t *testing.T) {
	p := NewPieces([]int{1, 2})
	one, _ := p.Next()
	two, _ := p.Next()
	if _, ok := p.Next(); ok || !p.InFlight() {
		t.Error("a third piece")
	}
	p.Done(one, nil)
	p.Done(two, errGone)
	if p.InFlight() || !errors.Is(p.Err(), errGone) {
		t.Errorf("what is missing: %v", p.Err())
	}
	again, ok := p.Next()
	if p.Done(again, nil); !ok || again != two || p.Err() != nil {
		t.Errorf("piece %d, %v, then %v", again, ok, p.Err())
	}
}
