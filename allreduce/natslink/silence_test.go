package natslink

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

// TestSilence cuts the way from one rank to the other while both live: first under a
// ring that stands, then before one is connected.
func TestSilence(t *testing.T) {
	const silence = 400 * time.Millisecond
	n := ringtest.NewNetwork()
	var boxes mailboxes
	for _, dial := range []Dial{n.Dial, nil} {
		m, err := Open(Options{Secret: secret, Dial: dial, Silence: silence})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		boxes = append(boxes, m)
	}
	links := boxes.Join(t, 1, 0, 1)
	select {
	case <-links[0].Lost():
		t.Fatalf("lost before anything happened: %v", links[0].Err())
	case <-time.After(2 * silence):
	}
	n.Cut()
	begun := time.Now()
	select {
	case <-links[0].Lost():
	case <-time.After(20 * silence):
		t.Fatal("the cut is not noticed")
	}
	took := time.Since(begun)
	var peer *allreduce.PeerError
	if err := links[0].Err(); !errors.Is(err, allreduce.ErrSilent) || !errors.Is(err, allreduce.ErrLost) || !errors.As(err, &peer) || peer.Rank != 1 {
		t.Errorf("not the silence of rank 1: %v", err)
	}
	if took < silence/2 {
		t.Errorf("noticed after %v: a pause as short may be work", took)
	}
	for _, l := range links {
		l.Abort(nil)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*silence)
	defer cancel()
	_, err := boxes[0].Connect(ctx, Session{Run: "test", Generation: 2, Rank: 0, World: 2, Previous: boxes[1].URL(), Next: boxes[1].URL()})
	if !errors.Is(err, allreduce.ErrSilent) || !errors.As(err, &peer) || peer.Rank != 1 {
		t.Errorf("not the silence of rank 1: %v", err)
	}
}
