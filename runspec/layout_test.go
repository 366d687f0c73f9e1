package runspec

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLayouts(t *testing.T) {
	const plenty = 1000
	for _, c := range []struct {
		cores, microBatches, workers int
		want                         []Layout
	}{
		{1, 4, plenty, []Layout{{1, 1}}},
		{2, 4, plenty, []Layout{{1, 2}, {2, 1}}},
		{4, 4, plenty, []Layout{{1, 4}, {4, 1}}},
		{8, 16, plenty, []Layout{{1, 8}, {2, 4}, {8, 1}}},
		{16, 16, plenty, []Layout{{1, 16}, {4, 4}, {16, 1}}},
		{64, 16, plenty, []Layout{{1, 64}, {8, 8}, {16, 4}}},
		{64, 4, plenty, []Layout{{1, 64}, {4, 16}}},
		{6, 4, plenty, []Layout{{1, 6}, {4, 1}}},
		{16, 1, plenty, []Layout{{1, 16}}},
		{16, 16, 3, []Layout{{1, 16}, {3, 5}}},
		{2, 4, 1, []Layout{{1, 2}}},
		{2, 4, 0, []Layout{{1, 2}}},
	} {
		got := Layouts(c.cores, c.microBatches, c.workers)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d cores, %d micro-batches, %d workers fit: %v, not %v", c.cores, c.microBatches, c.workers, got, c.want)
		}
	}
}

func TestChooseLayout(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		one, two time.Duration // of a micro-batch of 1 × 2 and 2 × 1
		updates  [2]time.Duration
		batches  int
		elements int64
		want     Layout
	}{
		"two workers compute faster":                 {100 * ms, 150 * ms, [2]time.Duration{0, 0}, 4, 0, Layout{2, 1}},
		"about as fast":                              {100 * ms, 195 * ms, [2]time.Duration{0, 0}, 4, 0, Layout{1, 2}},
		"a third micro-batch is one too many":        {100 * ms, 150 * ms, [2]time.Duration{0, 0}, 3, 0, Layout{1, 2}},
		"the update takes what the gradients save":   {100 * ms, 150 * ms, [2]time.Duration{50 * ms, 150 * ms}, 4, 0, Layout{1, 2}},
		"the exchange takes what the gradients save": {100 * ms, 150 * ms, [2]time.Duration{0, 0}, 4, 20e6, Layout{1, 2}},
	} {
		choice := ChooseLayout(2, true, []LayoutTiming{
			NewLayoutTiming(Layout{1, 2}, c.one, c.updates[0], c.batches, c.elements),
			NewLayoutTiming(Layout{2, 1}, c.two, c.updates[1], c.batches, c.elements),
		})
		if choice.Layout != c.want {
			t.Errorf("%s: %s", name, choice)
		}
	}
}

func TestAStepOfALayout(t *testing.T) {
	alone := NewLayoutTiming(Layout{1, 4}, time.Second, time.Second/2, 6, 1e9)
	if alone.Step != 6.5 {
		t.Errorf("one worker exchanges nothing: a step of %g s", float64(alone.Step))
	}
	// Four share six micro-batches, two at most; 3/2 of 4 bytes by 1e6 elements go out.
	if four := NewLayoutTiming(Layout{4, 1}, 2*time.Second, time.Second, 6, 1e6); float64(four.Step) != 5+6e6/exchangeRate {
		t.Errorf("a step of four workers: %g s", float64(four.Step))
	}
}

func TestALayoutChoiceSaysWhy(t *testing.T) {
	choice := ChooseLayout(2, true, []LayoutTiming{
		NewLayoutTiming(Layout{1, 2}, 2*time.Millisecond, 0, 2, 0), NewLayoutTiming(Layout{2, 1}, 20*time.Millisecond, 0, 2, 0),
	})
	if got, want := choice.String(), "1 worker × 2 threads, for 2 cores: a step takes about 1 × 2 4.0 ms, 2 × 1 20 ms"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got, want := (LayoutChoice{Layout{1, 1}, 1, true, nil}).String(), "1 worker × 1 thread, for 1 core"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	path := filepath.Join(t.TempDir(), "layout.json")
	if c, err := ReadLayoutChoice(path); c != nil || err != nil {
		t.Errorf("%v, %v of no file", c, err)
	}
	if err := WriteLayoutChoice(path, choice); err != nil {
		t.Fatal(err)
	}
	if back, err := ReadLayoutChoice(path); err != nil || !reflect.DeepEqual(*back, choice) {
		t.Errorf("%v came back as %v, %v", choice, back, err)
	}
	for _, text := range []string{"", "{}", `{"workers":0,"threads":2}`} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := ReadLayoutChoice(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q is taken for %v: %v", text, c, err)
		}
	}
}
