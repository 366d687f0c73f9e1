package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestProgressNotes plays the statuses of a run and reads the lines beside the numbers.
func TestProgressNotes(t *testing.T) {
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newProgress(&out, spec)
	for _, s := range []wire.Status{
		{State: wire.StateWaiting, Reason: "0 of 2 workers here, at least 2 needed"},
		{State: wire.StateWaiting, Reason: "0 of 2 workers here, at least 2 needed"},
		{State: wire.StateWaiting, Reason: "1 of 2 workers here, at least 2 needed"},
		{State: wire.StateTraining, Generation: 1, Reason: "start with 2 workers"},
		{State: wire.StateTraining, Generation: 1, Reason: "start with 2 workers", Step: 9},
		{State: wire.StateTraining, Generation: 2, Reason: "w2: process ended", Step: 10},
		{State: wire.StateWaiting, Generation: 2, Reason: "1 worker left, at least 2 needed", Step: 10},
		{State: wire.StateTraining, Generation: 3, Reason: "w2 joined", Step: 11},
		{State: wire.StateTraining, Generation: 2, Reason: "w2: process ended", Step: 11}, // a late answer
		{State: wire.StateStopping, Generation: 3, Reason: "asked for by the user", Step: 12},
		{State: wire.StateStopped, Generation: 3, Reason: "asked for by the user", Step: 12},
	} {
		p.set(s)
	}
	var notes []string
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "step ") {
			notes = append(notes, line)
		}
	}
	const want = `waiting: 0 of 2 workers here, at least 2 needed
waiting: 1 of 2 workers here, at least 2 needed
generation 1: start with 2 workers
generation 2: w2: process ended
waiting: 1 worker left, at least 2 needed
generation 3: w2 joined
asked for by the user
`
	if got := strings.Join(notes, ""); got != want {
		t.Errorf("told\n%s\nnot\n%s", got, want)
	}
}

// TestProgressLine reads the line of numbers as terminals of several widths show
// it.
func TestProgressLine(t *testing.T) {
	spec, _, err := runspec.New([]runspec.Setting{setting(t, "energy.intensity", "400"), setting(t, "energy.pue", "1.5")})
	if err != nil {
		t.Fatal(err)
	}
	status := wire.Status{
		State: wire.StateTraining, Generation: 1, Step: 1234, Steps: 3000, Loss: number.Known(6.0625), LearningRate: number.Known(0.0025),
		TokensPerSecond: number.Known(123456), Watts: number.Known(87.4), Joules: number.Known(36_000), EtaSeconds: number.Known(3*3600 + 25*60),
		Processes: []wire.Process{
			{Role: wire.RoleWorker, ID: "w1", Rank: 0}, {Role: wire.RoleWorker, ID: "w2", Rank: 1},
			{Role: wire.RoleWorker, ID: "w3", Rank: -1}, {Role: wire.RoleCheckpoint, ID: "c1"},
		},
	}
	whole := "step 1234/3000  loss 6.062  lr 0.0025  123k tok/s  2 workers  87 W  6.000 gCO2e  eta 3h25m0s"
	for columns, want := range map[int]string{
		0:   whole, // unknown
		200: whole,
		87:  strings.ReplaceAll(whole, "  ", " "),
		80:  "step 1234/3000 loss 6.062 123k tok/s 2 workers 87 W 6.000 gCO2e eta 3h25m0s",
		60:  "step 1234/3000 loss 6.062 123k tok/s 2 workers eta 3h25m0s",
		40:  "step 1234/3000  loss 6.062  eta 3h25m0s",
		30:  "step 1234/3000  loss 6.062",
		10:  "step 1234/3000",
	} {
		var out bytes.Buffer
		p := newProgress(&out, spec)
		p.live, p.width = true, func() int { return columns }
		p.note(status)
		out.Reset()
		p.set(status)
		if got := strings.TrimPrefix(out.String(), "\r\x1b[K"); got != want {
			t.Errorf("%d columns: %q, not %q", columns, got, want)
		}
	}
	var out bytes.Buffer
	status.Processes = status.Processes[:1]
	status.Step = 3
	newProgress(&out, spec).set(status)
	if !strings.Contains(out.String(), "  1 worker  ") {
		t.Errorf("one worker is told as %q", out.String())
	}
	status.State = wire.StateWaiting
	if got := fit(newProgress(&out, spec).fields(status), 79); got != "step 3/3000  waiting" {
		t.Errorf("a run that waits shows %q", got)
	}
}

// setting is the setting of a flag.
func setting(t *testing.T, key, value string) runspec.Setting {
	t.Helper()
	for _, k := range runspec.Keys() {
		if k.Name == key {
			return runspec.Flag(k, value)
		}
	}
	t.Fatalf("there is no key %s", key)
	return runspec.Setting{}
}

// TestProgressRate counts the tokens of a run of which another coordinator takes the
// lead: its count starts again from 0.
func TestProgressRate(t *testing.T) {
	p := &progress{w: io.Discard}
	for i, tokens := range []uint64{1000, 3000, 500, 900} {
		p.set(wire.Status{State: wire.StateTraining, Step: uint64(i + 1), Tokens: tokens})
	}
	p.elapsed = 10 * time.Second
	if got := p.rate(); got != 290 {
		t.Errorf("%v tokens a second, want 290", got)
	}
}

func TestProgressWarns(t *testing.T) {
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newProgress(&out, spec)
	stands := []wire.Warning{{Kind: wire.WarnMemory, Text: "memory is short"}}
	p.warn(stands)
	p.warn(stands)
	p.warn(nil)
	p.warn(stands)
	if got := strings.Count(out.String(), "warning: memory is short\n"); got != 2 {
		t.Fatalf("a warning that came up twice was printed %d times:\n%s", got, out.String())
	}
}

// Only known values are printed: nothing in place of a number that was not measured
// yet, and a loss as it is, however large.
func TestProgressPrintsOnlyWhatWasMeasured(t *testing.T) {
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	worker := []wire.Process{{Role: wire.RoleWorker, ID: "w1"}}
	for want, s := range map[string]wire.Status{
		"step 0/9  1 worker":                {},
		"step 1/9  loss 5440.250  1 worker": {Step: 1, Loss: number.Known(5440.25)},
		"step 2/9  loss 1.5e+13  1 worker":  {Step: 2, Loss: number.Known(1.5e13)},
		"step 3/9  loss NaN  1 worker":      {Step: 3, Loss: number.Known(math.NaN())},
		"step 4/9  loss +Inf  1 worker":     {Step: 4, Loss: number.Known(math.Inf(1))},
		"step 5/9  loss 0.000  1 worker":    {Step: 5, Loss: number.Known(0)},
	} {
		s.State, s.Steps, s.Processes = wire.StateTraining, 9, worker
		if got := fit(newProgress(io.Discard, spec).fields(s), 0); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
