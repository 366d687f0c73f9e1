package natslink

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

// TestSilence cuts the way from one rank to the other while both live: first under a
// ring that stands, then before one is connected.
func TestSilence(t *testing.T) {
	t.Parallel()
	const silence = time.Second
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
	case <-time.After(5 * time.Minute):
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

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err := boxes[0].Connect(ctx, Session{Run: "test", Generation: 2, Rank: 0, World: 2, Previous: boxes[1].URL(), Next: boxes[1].URL()})
	if !errors.Is(err, allreduce.ErrSilent) || !errors.As(err, &peer) || peer.Rank != 1 {
		t.Errorf("not the silence of rank 1: %v", err)
	}
}

// networked are mailboxes with a network each.
type networked struct {
	mailboxes
	networks []*ringtest.Network
}

func (c networked) Cut(from, to int) {
	address, err := url.Parse(c.mailboxes[to].URL())
	if err == nil {
		c.networks[from].Cut(address.Host)
	}
}

func openNetworked(t testing.TB, n int) ringtest.Cutting {
	var c networked
	for range n {
		network := ringtest.NewNetwork()
		m, err := Open(Options{Secret: secret, Dial: network.Dial, Silence: 400 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		c.mailboxes, c.networks = append(c.mailboxes, m), append(c.networks, network)
	}
	return c
}

func TestCut(t *testing.T) { ringtest.Cut(t, openNetworked) }

// TestCutUnderLoad cuts a way with more on it than it takes: a write is held up.
func TestCutUnderLoad(t *testing.T) {
	c := openNetworked(t, 2).(networked)
	links := c.Join(t, 1, 0, 1)
	defer func() {
		for _, l := range links {
			l.Abort(nil)
		}
	}()
	c.Cut(0, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var err error
	for payload := make([]byte, 1<<18); err == nil; {
		err = links[0].Send(ctx, nil, payload)
	}
	if !errors.Is(err, allreduce.ErrSilent) {
		t.Errorf("not the silence of rank 1: %v", err)
	}
}

// slow is a connection that takes its time to send.
type slow struct{ net.Conn }

// Write implements net.Conn: a MiB takes 320 ms.
func (s slow) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * 20 * time.Millisecond >> 16)
	return s.Conn.Write(b)
}

// TestSlowIsNotSilent sends more at once than gets through in the time after which a
// neighbour counts as silent: pings wait behind it, and the neighbour is there.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	const silence = time.Second
	var boxes mailboxes
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return slow{c}, err
	}
	for _, d := range []Dial{dial, nil} {
		m, err := Open(Options{Secret: secret, Dial: d, Silence: silence})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		boxes = append(boxes, m)
	}
	links := boxes.Join(t, 1, 0, 1)
	defer func() {
		for _, l := range links {
			l.Abort(nil)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const frames = 3 // of two seconds each
	sent := make(chan error, 1)
	go func() {
		for range frames {
			if err := links[0].Send(ctx, nil, make([]byte, 6<<20)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range frames {
		if err := links[1].Receive(ctx, func(_, _ []byte) error { return nil }); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := errors.Join(links[0].Err(), links[1].Err()); err != nil {
		t.Error(err)
	}
}
