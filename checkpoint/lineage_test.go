package checkpoint

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestWorkThatAStoredStateDoesNotHoldIsLost brings readings of steps that are trained
// once more, and a state that says from where.
func TestWorkThatAStoredStateDoesNotHoldIsLost(t *testing.T) {
	s := newServing(t)
	s.up()
	now := time.Now()
	spent := func(seq uint64, ended time.Time, first, last uint64) {
		r := energy.Reading{
			Source: energy.Source{Run: s.spec.Run, Worker: "w", Incarnation: "i", Host: "h", Meter: "cpu", Kind: "cpu", Seq: seq},
			Method: energy.Estimated, Scope: energy.Process, Unit: "uJ", RawEnd: 100, Num: 1, Den: 1, MicroJ: 100,
			Span:  energy.Span{Start: int64(seq), End: int64(seq) + 1, WallStart: ended.UnixNano() - 1, WallEnd: ended.UnixNano()},
			Parts: []energy.Part{{Phase: energy.Compute, Generation: seq, FirstStep: first, LastStep: last, MicroJ: 100}},
		}
		if reply, err := s.request(s.subj.Readings(), []energy.Record{{Reading: &r}}); err != nil || reply.Error != "" {
			t.Fatal(err, reply.Error)
		}
	}
	spent(1, now.Add(-time.Minute), 1, 10)
	s.begun = wire.Lineage{Session: "s", Generation: 2, From: 6, Since: now.Add(-time.Second)}
	spent(2, now, 7, 10)
	s.store(8, 2)
	s.store(10, 2)
	// The coordinator tells of it, too.
	if reply, err := s.request(s.subj.Events(), []wire.Event{s.begun.Event()}); err != nil || reply.Error != "" {
		t.Fatal(err, reply.Error)
	}
	if reply, err := s.request(s.subj.Events(), []wire.Event{{Key: "k", Kind: wire.EventBegun}}); err != nil || reply.Error == "" {
		t.Errorf("a beginning that does not say where: %v %q", err, reply.Error)
	}
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	a := s.audit().Account
	if a.LostWork != 40 || a.Wasted != 40 {
		t.Errorf("%d µJ lost, %d wasted, want those of 4 of 10 steps: 40", a.LostWork, a.Wasted)
	}
}
