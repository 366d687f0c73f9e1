package upload

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// said is an action in a few words.
func said(a Action) string {
	switch a := a.(type) {
	case Send:
		return fmt.Sprintf("send %d", a.Slice.Header.Step)
	case AskStored:
		return "ask"
	case Wait:
		return "wait " + a.For.String()
	case Stored:
		return fmt.Sprintf("stored %d", a.Step)
	}
	return "idle"
}

func slice(step uint64, final bool) Slice {
	return Slice{Header: wire.SliceHeader{Step: step, Final: final}}
}

// TestQueue plays answers, and adds slices where they come.
func TestQueue(t *testing.T) {
	fails, refused, ok := Answer{Err: errors.New("gone")}, Answer{Err: errors.New("too late"), Refused: true}, Answer{}
	stored := func(step uint64) Answer { return Answer{Info: wire.SnapshotInfo{Found: true, Step: step}} }
	for _, c := range []struct {
		name   string
		events []any // an Answer, or a Slice that is added before the next one
		want   []string
	}{
		{"in order", []any{slice(1, false), slice(2, false), ok, ok, ok}, []string{"send 1", "send 2", "idle"}},
		{"again after a failure", []any{slice(1, false), ok, fails, ok, ok}, []string{"send 1", "wait 200ms", "send 1", "idle"}},
		{"a newer one in place of one that failed", []any{slice(1, false), ok, slice(2, false), fails}, []string{"send 1", "send 2"}},
		{"a newer one after the pause", []any{slice(1, false), ok, fails, slice(2, false), ok}, []string{"send 1", "wait 200ms", "send 2"}},
		{"one that is refused", []any{slice(1, false), ok, refused, ok}, []string{"send 1", "wait 0s", "idle"}},
		{"the last one is refused", []any{slice(1, true), ok, refused, ok}, []string{"send 1", "wait 200ms", "send 1"}},
		{"the last one is stored", []any{slice(3, true), ok, ok, ok, stored(2), ok, stored(3), ok}, []string{"send 3", "wait 500ms", "ask", "wait 500ms", "ask", "stored 3", "idle"}},
		{"the service is gone", []any{slice(3, true), ok, ok, ok, fails, ok}, []string{"send 3", "wait 500ms", "ask", "wait 200ms", "send 3"}},
		{"the last one is divided again", []any{slice(3, true), ok, ok, slice(3, true), ok}, []string{"send 3", "wait 500ms", "send 3"}},
	} {
		q := NewQueue(time.Second, 10*time.Second)
		var did []string
		for _, e := range c.events {
			switch e := e.(type) {
			case Slice:
				q.Add(e)
			case Answer:
				did = append(did, said(q.Next(e)))
			}
		}
		if !slices.Equal(did, c.want) {
			t.Errorf("%s: %q, not %q", c.name, did, c.want)
		}
	}
}

// TestTheLastSliceIsSentAgain has a service that was restarted, and does not know of it.
func TestTheLastSliceIsSentAgain(t *testing.T) {
	q := NewQueue(time.Second, 10*time.Second)
	q.Add(slice(3, true))
	sent, asked := 0, 0
	for range 100 {
		switch q.Next(Answer{}).(type) {
		case Send:
			sent++
		case AskStored:
			asked++
		}
	}
	if sent < 2 || asked != (sent-1)*maxQuestions+asked%maxQuestions {
		t.Errorf("sent %d times, asked %d times", sent, asked)
	}
}

// TestThereIsRoomForTheLastSlice fills the queue.
func TestThereIsRoomForTheLastSlice(t *testing.T) {
	q := NewQueue(time.Second, time.Second)
	for q.Accepts(false) {
		q.Add(slice(1, false))
	}
	if n := len(q.waiting); n != maxWaiting || !q.Accepts(true) {
		t.Errorf("%d wait, and the last one is accepted: %v", n, q.Accepts(true))
	}
}
