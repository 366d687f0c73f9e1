package worker

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
)

// hellos records what each worker first says in each generation.
func (c *cluster) hellos() func(generation uint64, id string) (wire.Hello, bool) {
	c.t.Helper()
	var mu sync.Mutex
	all := map[string]wire.Hello{}
	key := func(generation uint64, id string) string { return fmt.Sprint(generation, " ", id) }
	if _, err := bus.Subscribe(c.conn, wire.SubjectsOf("test").Hello(), func(m *bus.Message) {
		var h wire.Hello
		if err := wire.Decode(m.Data, &h); err != nil {
			c.t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, ok := all[key(h.Generation, h.ID)]; !ok {
			all[key(h.Generation, h.ID)] = h
		}
	}); err != nil {
		c.t.Fatal(err)
	}
	return func(generation uint64, id string) (wire.Hello, bool) {
		mu.Lock()
		defer mu.Unlock()
		h, ok := all[key(generation, id)]
		return h, ok
	}
}

// TestANewcomerComesToTheStateOfTheOthersWhileTheyGoOn has three members that never
// wait for a fourth: when it is taken in, it is as far as they are, give or take what
// they did while the plan was on its way.
func TestANewcomerComesToTheStateOfTheOthersWhileTheyGoOn(t *testing.T) {
	synctest.Test(t, aNewcomerComesToTheStateOfTheOthersWhileTheyGoOn)
}

func aNewcomerComesToTheStateOfTheOthersWhileTheyGoOn(t *testing.T) {
	const steps = 160
	want := calm(t, steps)
	c := newCluster(t, steps)
	hello := c.hellos()
	all := []*running{c.start("a"), c.start("b"), c.start("d")}
	c.plan(1, "a", "b", "d")
	c.reached("a", 20)
	all = append(all, c.start("e"))
	c.until("e", func(b wire.Beat) bool {
		return b.State == wire.WorkerJoining && b.Generation == 1 && b.Step > 20
	})
	before := c.newest("a")
	c.plan(2, "a", "b", "d", "e")
	for _, r := range all {
		r.end(t, nil)
	}
	if got := c.final(); got != want {
		t.Errorf("ends with %s, undisturbed with %s", got, want)
	}
	e, ok := hello(2, "e")
	a, okA := hello(2, "a")
	if !ok || !okA || e.Applied <= 20 { // it was as far before it registered
		t.Errorf("e says %+v, a %+v; before, a was at step %d", e, a, before)
	}
}

func (c *cluster) newest(id string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beats[id].Step
}

// TestPiecesComeFromTheRemainingDonors has a donor that dies with a piece under way, while
// another has nothing left to give.
func TestPiecesComeFromTheRemainingDonors(t *testing.T) {
	synctest.Test(t, piecesComeFromTheRemainingDonors)
}

func piecesComeFromTheRemainingDonors(t *testing.T) {
	c := newCluster(t, 1)
	whole := bytes.Repeat([]byte("0123456789abcdef"), 3*wire.MaxChunk/16)
	var taken atomic.Int32
	last := make(chan struct{}) // the good donor has given all that was left
	for subject, answer := range map[string]func(*bus.Message){
		"good": func(m *bus.Message) {
			if err := transfer.Serve(m, func(r wire.Range) ([]byte, int64, error) { return transfer.Piece(whole, r) }); err != nil {
				t.Error(err)
			}
			if taken.Add(1) == 2 {
				close(last)
			}
		},
		"bad": func(m *bus.Message) {
			<-last
			if err := transfer.Serve(m, func(wire.Range) ([]byte, int64, error) { return nil, 0, errors.New("it is about to end") }); err != nil {
				t.Error(err)
			}
		},
	} {
		if _, err := bus.Subscribe(c.conn, subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &worker{cfg: Config{Bus: c.dial()}}
	got := make([]byte, len(whole))
	if err := w.fetchAll(t.Context(), []string{"bad", "good"}, []part{{wire.Range{Name: "x"}, got}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, whole) {
		t.Error("what came is not what was sent")
	}
}
