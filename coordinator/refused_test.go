package coordinator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// TestWhoDoesNotFitIsRefused registers workers in etcd that cannot take part: each
// reason stands in the status, goes to the ledger, and answers the heartbeats of the
// one that it is about.
func TestWhoDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, runspec.Workers{Min: 1, Max: 1}, 1000)
	c.withEtcd()
	listen := func(subject string) <-chan *bus.Message {
		messages, stop, err := bus.Channel(c.conn, 1024, "", subject)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		return messages
	}
	next := func(messages <-chan *bus.Message, what string) *bus.Message {
		select {
		case m := <-messages:
			return m
		case <-time.After(patience):
			t.Fatal(what)
			return nil
		}
	}
	events := listen(c.subjects.Events())
	c.coordinator("c")
	c.worker("good", 0, 1000)
	c.statusWhere("training", func(s wire.Status) bool { return s.State == wire.StateTraining })
	reasons := map[string]string{
		"build": `it is build "another"`, "spec": "it was started with another spec of the run",
		"corpus": "its corpus is ", "print": "its arithmetic gives ", "threads": "threads 2, the run has 1: ", "device": "device cuda, the run has cpu: ",
	}
	refusals := map[string]<-chan *bus.Message{}
	for id := range reasons {
		refusals[id] = listen(c.subjects.Refused(id))
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
	for id, messages := range refusals {
		m := next(messages, id+" is not told")
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
		m := next(events, fmt.Sprintf("no event tells of %v", missing))
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
		if err := bus.Respond(m, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}
