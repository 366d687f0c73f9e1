package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestProgressNotes plays the statuses of a run and reads what is told besides
// the line of numbers.
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
