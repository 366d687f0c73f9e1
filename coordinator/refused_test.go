package coordinator_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestWhoDoesNotFitIsRefused registers workers in etcd that cannot take part: each
// reason stands in the status, goes to the ledger, and answers the heartbeats of the
// one that it is about.
func TestWhoDoesNotFitIsRefused(t *testing.T) {
	c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, 1000)
	c.withEtcd()
	events, err := c.conn.SubscribeSync(c.subjects.Events())
	if err != nil {
		t.Fatal(err)
	}
	c.coordinator("c")
	c.worker("good", 0, 1000)
	c.statusWhere("training", func(s wire.Status) bool { return s.State == wire.StateTraining })
	reasons := map[string]string{
		"build": `it is build "another"`, "spec": "it was started with another spec of the run",
		"corpus": "its corpus is ", "print": "its arithmetic gives ", "threads": "threads 2, the run has 1: ", "device": "device cuda, the run has cpu: ",
	}
	heard := map[string]*nats.Subscription{}
	for id := range reasons {
		if heard[id], err = c.conn.SubscribeSync(c.subjects.Refused(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	c.workerWith("build", 0, 1000, func(r *wire.Registration) { r.Build = "another" })
	c.workerWith("spec", 0, 1000, func(r *wire.Registration) { r.SpecHash = "another" })
	c.workerWith("corpus", 0, 1000, func(r *wire.Registration) { r.CorpusHash = "another" })
	c.workerWith("threads", 0, 1000, func(r *wire.Registration) { r.Fingerprint, r.Threads = "another", 2 })
	c.workerWith("device", 0, 1000, func(r *wire.Registration) { r.Fingerprint, r.Device = "another", "cuda" })
	c.workerWith("print", 0, 1000, func(r *wire.Registration) { r.Fingerprint = "another" })

	s := c.statusWhere("all refused", func(s wire.Status) bool {
		n := 0
		for _, p := range s.Processes {
			if p.State == wire.WorkerRefused {
				n++
			}
		}
		return n == len(reasons)
	})
	for _, p := range s.Processes {
		want := reasons[p.ID]
		if !strings.HasPrefix(p.Reason, want) || (want == "") != (p.Reason == "") || want != "" && p.Rank >= 0 {
			t.Errorf("the status says %+v, not %q", p, want)
		}
	}
	if s.State != wire.StateTraining || s.Generation != 1 || s.Mixed {
		t.Errorf("the run was disturbed: %+v", s)
	}
	for id, sub := range heard {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s is not told: %v", id, err)
		}
		var r wire.Refusal
		if err := wire.Decode(m.Data, &r); err != nil || !strings.HasPrefix(r.Incarnation, id+"-") || !strings.HasPrefix(r.Reason, reasons[id]) {
			t.Errorf("%s is told %+v, %v", id, r, err)
		}
	}
	missing := map[string]bool{}
	for id := range reasons {
		missing[id] = true
	}
	for len(missing) > 0 {
		m, err := events.NextMsg(patience)
		if err != nil {
			t.Fatalf("the ledger does not hear of %v: %v", missing, err)
		}
		var all []wire.Event
		if err := wire.Decode(m.Data, &all); err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			for id, want := range reasons {
				if e.Kind == wire.EventRefused && strings.HasPrefix(e.Reason, "worker "+id+" on host is refused: "+want) {
					delete(missing, id)
				}
			}
		}
		body, err := wire.Encode(wire.Reply{})
		if err == nil {
			err = m.Respond(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
