package divergence

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// steps plays so many steps of one loss.
func steps(c History, n int, loss float64, skipped bool) History {
	for range n {
		c = c.Next(next(c), loss, skipped)
	}
	return c
}

// next is any step above 0: only the first matters.
func next(c History) uint64 { return c.From + 1 }

func TestFinding(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	began := steps(History{}, 1, 9.7, false)
	for name, c := range map[string]struct {
		course History
		kind   Kind
		text   string
	}{
		"no step":                                  {History{}, None, ""},
		"the first step":                           {began, None, ""},
		"it learns":                                {steps(steps(began, 40, 7, false), 40, 4, false), None, ""},
		"it learns nothing":                        {steps(began, 200, 9.8, false), None, ""},
		"one step is skipped":                      {steps(steps(began, 9, 9, false), 1, nan, true), None, ""},
		"three in a row":                           {steps(began, 3, 9, true), None, ""},
		"four in a row":                            {steps(began, 4, 9, true), Skips, "4 of the newest 5 steps were skipped"},
		"four in a row, then one that was not":     {steps(steps(began, 4, 9, true), 1, 9, false), None, ""},
		"nineteen are skipped":                     {steps(steps(began, 13, 9, false), 19, 9, true), Skips, "19 of the newest 32 steps"},
		"twenty are skipped":                       {steps(steps(began, 12, 9, false), 20, 9, true), Stuck, "20 of the newest 32"},
		"all steps from the first on":              {steps(History{}, 20, nan, true), Stuck, "20 of the newest 20 steps were skipped, because gradients were not finite; nor was the loss in 20 of them"},
		"skipped with a finite loss":               {steps(began, 32, 5440, true), Stuck, "32 of the newest 32"},
		"it recovered":                             {steps(steps(began, 32, nan, true), 32, 9, false), None, ""},
		"one high loss":                            {steps(began, 1, 1e6, false), None, ""},
		"a spike of eleven steps":                  {steps(steps(began, 11, 30, false), 5, 9, false), None, ""},
		"high for twelve steps":                    {steps(began, 12, 30, false), FarLoss, "above 15.55 in 12 of the newest 13 steps, and 9.70 in step 1"},
		"high and some skipped":                    {steps(steps(began, 16, 30, false), 4, 30, true), FarLoss, "in 16 of the newest 16 steps"},
		"an infinite loss counts by its skip":      {steps(began, 16, inf, true), Skips, "nor was the loss in 16 of them"},
		"a little above where it began":            {steps(began, 100, 15, false), None, ""},
		"begins with a loss that is not finite":    {steps(steps(History{}, 3, nan, true), 30, 9, false), None, ""},
		"where it began is the first finite loss":  {steps(steps(History{}, 3, nan, true).Next(4, 2, false), 12, 5, false), FarLoss, "2.00 in step 4"},
		"a small vocabulary, and the noise of two": {steps(steps(History{}, 1, 2.2, false), 100, 4.2, false), None, ""},
	} {
		f := c.course.Finding()
		if f.Kind != c.kind || !strings.Contains(f.Text, c.text) || (f.Text == "") != (f.Kind == None) {
			t.Errorf("%s: %q %q, want %q with %q", name, f.Kind, f.Text, c.kind, c.text)
		}
	}
}

// A course that is read from a checkpoint gives the same finding as the one that lived
// through the steps.
func TestCourseOutlivesACheckpoint(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var lived, read History
		for step := uint64(1); step <= 60; step++ {
			loss, skipped := 9+r.NormFloat64(), r.IntN(3) == 0
			switch r.IntN(6) {
			case 0:
				loss = math.NaN()
			case 1:
				loss = math.Inf(1)
			case 2:
				loss *= 10
			}
			lived, read = lived.Next(step, loss, skipped), read.Next(step, loss, skipped)
			if r.IntN(4) == 0 {
				b, err := json.Marshal(read)
				if err != nil {
					t.Fatal(err)
				}
				read = History{}
				if err := json.Unmarshal(b, &read); err != nil {
					t.Fatal(err)
				}
			}
			if lived != read || lived.Finding() != read.Finding() {
				t.Fatalf("step %d: %+v, read %+v", step, lived, read)
			}
		}
	}
}

func TestStops(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		policy string
		stops  bool
	}{
		{None, StopLoss, false}, {Skips, StopLoss, false}, {FarLoss, StopLoss, true}, {Stuck, StopLoss, true},
		{None, StopSkipped, false}, {Skips, StopSkipped, false}, {FarLoss, StopSkipped, false}, {Stuck, StopSkipped, true},
		{FarLoss, StopNever, false}, {Stuck, StopNever, false},
		{FarLoss, "", false}, {Stuck, "", true}, // specs from before the key existed
	} {
		if got := (Finding{Kind: c.kind}).Stops(c.policy); got != c.stops {
			t.Errorf("%q with %q: %t", c.kind, c.policy, got)
		}
	}
}

func TestWarning(t *testing.T) {
	if w := (Finding{}).Warning(1); w != "" {
		t.Errorf("a warning of nothing: %q", w)
	}
	if w := (Finding{Stuck, "steps were skipped"}).Warning(1000); !strings.Contains(w, "steps were skipped") || !strings.Contains(w, "optimizer.lr is 1000") {
		t.Error(w)
	}
}
