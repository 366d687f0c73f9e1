package ledger

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/number"
)

// of are steps with their mean losses and the sum of the last.
func of(first, last uint64, mlm, nsp, single number.Float) Entry {
	return Entry{Steps: &Steps{
		FirstStep: first, LastStep: last, Loss: single, Losses: &Losses{Steps: last - first + 1, MLM: mlm, NSP: nsp},
	}}
}

// old are steps as logs held them before they held means.
func old(first, last uint64, single number.Float) Entry {
	return Entry{Steps: &Steps{FirstStep: first, LastStep: last, Loss: single}}
}

func resumed(software string) Entry { return Entry{Resumed: &Resumed{Software: software}} }

// A mean is told as one, of MLM and NSP apart and over which steps; the loss of one
// step as that.
func TestReportOfLosses(t *testing.T) {
	started := Entry{Started: &Started{Software: "one"}}
	for name, c := range map[string]struct {
		entries []Entry
		want    []string
		not     string
	}{
		"an old log": {
			[]Entry{old(1, 50, 9.5), old(51, 99, 7), old(100, 100, 6.25)},
			[]string{"losses (MLM + NSP) of single steps: 9.5000 of step 50, 6.2500 of step 100\n"}, "mean",
		},
		"an old log of one entry": {[]Entry{old(1, 60, 9.5)}, []string{"loss (MLM + NSP) of step 60 alone: 9.5000\n"}, "mean"},
		"one entry":               {[]Entry{of(1, 10, 8, 0.75, 3)}, []string{"mean losses: MLM 8.0000 and NSP 0.7500 in steps 1 to 10\n"}, "single"},
		"a few steps are put together": {
			[]Entry{of(1, 10, 9, 1, 0), of(11, 40, 5, 0.5, 0)},
			[]string{"mean losses: MLM 6.0000 and NSP 0.6250 in steps 1 to 40\n"}, ";",
		},
		"the beginning and the end": {
			[]Entry{of(1, 60, 9, 1, 0), of(61, 200, 7, 1, 0), of(201, 240, 4, 0.5, 0), of(241, 250, 3, 0, 0)},
			[]string{"mean losses: MLM 9.0000 and NSP 1.0000 in steps 1 to 60; MLM 3.8000 and NSP 0.4000 in steps 201 to 250\n"}, "single",
		},
		"steps computed once more": {
			[]Entry{of(1, 60, 9, 1, 0), of(61, 120, 8, 1, 0), resumed("one"), of(61, 110, 7, 1, 0)},
			[]string{"in steps 1 to 60; MLM 7.0000 and NSP 1.0000 in steps 61 to 110\n"}, "",
		},
		"an old log that goes on": {
			[]Entry{old(1, 50, 9.5), resumed("two"), of(51, 60, 7, 0.5, 0)},
			[]string{"mean losses: MLM 7.0000 and NSP 0.5000 in steps 51 to 60\n"}, "single",
		},
		"some are not finite": {
			[]Entry{{Steps: &Steps{FirstStep: 1, LastStep: 60, Loss: number.Float(math.NaN()), Skipped: 54, Losses: &Losses{Steps: 7, MLM: 9, NSP: 0.7}}}},
			[]string{"in steps 1 to 60 (mean of 7 of them, whose loss was finite)\n", "skipped: 54 steps, because gradients were not finite\n"}, "NaN",
		},
		"none is finite": {[]Entry{old(1, 1, number.Float(math.NaN()))}, []string{"loss (MLM + NSP) of step 1 alone: NaN\n"}, "mean"},
	} {
		sum := newTally()
		for _, e := range append([]Entry{started}, c.entries...) {
			if _, err := e.body(); err != nil && e.Steps != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sum.add(e)
		}
		a, err := sum.finish()
		if err != nil {
			t.Fatal(err)
		}
		text := a.String()
		for _, want := range c.want {
			if !strings.Contains(text, want) || c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("%s: want %q without %q in\n%s", name, want, c.not, text)
			}
		}
	}
}

// Each build that took part is named with its steps.
func TestReportOfBuilds(t *testing.T) {
	for name, c := range map[string]struct {
		entries []Entry
		want    string
	}{
		"one":           {[]Entry{old(1, 50, 1), resumed("one"), old(51, 60, 1)}, "one 1-60"},
		"another":       {[]Entry{old(1, 50, 1), resumed("two"), old(51, 60, 1)}, "one 1-50, two 51-60"},
		"and back":      {[]Entry{old(1, 50, 1), resumed("two"), old(51, 60, 1), resumed("one"), old(61, 61, 1)}, "one 1-50, two 51-60, one 61-61"},
		"not named":     {[]Entry{old(1, 50, 1), resumed(""), old(51, 60, 1), resumed("two"), old(61, 70, 1)}, "one 1-50,  51-60, two 61-70"},
		"without steps": {[]Entry{old(1, 50, 1), resumed("two"), resumed("three"), old(51, 52, 1)}, "one 1-50, three 51-52"},
		"no steps":      {[]Entry{resumed("two")}, ""},
	} {
		sum := newTally()
		for _, e := range append([]Entry{{Started: &Started{Software: "one"}}}, c.entries...) {
			sum.add(e)
		}
		a, err := sum.finish()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range a.Builds {
			got = append(got, fmt.Sprintf("%s %d-%d", b.Software, b.FirstStep, b.LastStep))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if text := a.String(); strings.Contains(text, "build: ,") || strings.Count(text, "build: ") != len(a.Builds) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// A loss that is not finite is in the log, and so is the user who goes on.
func TestLossThatIsNotFiniteVerifies(t *testing.T) {
	o := testOptions(t)
	l := mustOpen(t, o)
	mustAppend(t, l, Entry{Key: "steps/1", Steps: &Steps{FirstStep: 1, LastStep: 3, Loss: number.Float(math.NaN()), Skipped: 2,
		Losses: &Losses{Steps: 1, MLM: number.Float(math.Inf(1)), NSP: 0.5}}})
	if err := l.Resume(0, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a := mustVerify(t, o.Dir)
	if !math.IsNaN(float64(a.LastLoss.Loss)) || a.Skipped != 2 || !math.IsInf(float64(a.Last.MLM), 1) || a.Resumes[0].Software != o.Software {
		t.Errorf("%+v", a)
	}
}
