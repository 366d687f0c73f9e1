package checkpoint

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/energy/meter"
)

// metered is a process of the run that nobody takes readings from.
func (s *serving) metered(process string) *meter.Meter {
	s.t.Helper()
	m, err := meter.Open(meter.Options{
		Run: s.spec.Run, Process: process, Incarnation: s.t.Name(), Host: "host", BootID: meter.BootID(),
		Dir: filepath.Join(s.dir.Energy(), process), CPUWattsPerCore: 4, RAMWattsPerGB: 0.375,
		Send: func(context.Context, []energy.Record) error { return errors.New("no responders") },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// leave is such a process that has ended.
func (s *serving) leave(process string) {
	s.t.Helper()
	if err := s.metered(process).Close(); err != nil {
		s.t.Fatal(err)
	}
}

// TestWhatProcessesLeftComesIntoTheLedger has processes that could not send, and of
// whose names none comes again.
func TestWhatProcessesLeftComesIntoTheLedger(t *testing.T) {
	s := newServing(t)
	s.up()
	s.store(10, 1)
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	total := s.audit().Account.Total

	s.leave("before")
	r := s.audit() // the run is to go on
	if len(r.Pending) != 1 || r.Pending[0].Process != "before" || r.Pending[0].MicroJ == 0 || !strings.Contains(r.String(), " records of before") {
		t.Fatalf("unsent %+v in\n%s", r.Pending, r)
	}
	total += r.Pending[0].MicroJ
	s.up()
	s.leave("meanwhile")
	unsent := s.audit().Pending
	if len(unsent) != 1 || unsent[0].Process != "meanwhile" {
		t.Fatalf("while the service is up, unsent are %+v", unsent)
	}
	total += unsent[0].MicroJ
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	if r := s.audit(); len(r.Pending) != 0 || r.Account.Total != total || r.Account.ByWorker["before"] == 0 || r.Account.ByWorker["meanwhile"] == 0 {
		t.Errorf("%d µJ in the ledger, want %d; unsent %+v", r.Account.Total, total, r.Pending)
	}
}

// TestTheAuditOfARunThatIsDoneWantsAllEnergy kills everything after the last
// checkpoint: no process of the run comes again by itself.
func TestTheAuditOfARunThatIsDoneWantsAllEnergy(t *testing.T) {
	s := newServing(t)
	s.up()
	s.store(s.spec.Steps, 1)
	alive := s.metered("alive")
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	s.leave("w1")
	if r := s.audit(); len(r.Pending) != 1 { // its process still lives, and may send it
		t.Errorf("unsent %+v", r.Pending)
	}
	if err := alive.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Audit(string(s.dir))
	if !errors.Is(err, ErrPendingReadings) || !strings.Contains(err.Error(), " records of alive") || !strings.Contains(err.Error(), " records of w1") {
		t.Fatalf("the audit says %v", err)
	}
	n, err := RecoverPending(string(s.dir), "gramme test", zap.NewNop())
	if err != nil || n < 4 {
		t.Fatalf("ingested %d, %v", n, err)
	}
	if r := s.audit(); len(r.Pending) != 0 || r.Account.ByWorker["w1"] == 0 || r.Account.ByWorker["alive"] == 0 {
		t.Errorf("unsent %+v, by worker %v", r.Pending, r.Account.ByWorker)
	}
	if n, err := RecoverPending(string(s.dir), "gramme test", zap.NewNop()); err != nil || n != 0 {
		t.Errorf("ingested %d more, %v", n, err)
	}
}

// TestSentReadingsOfAnUntrimmedLogAreNotMissing kills a process right after its
// readings were acknowledged, before it could trim its log.
func TestSentReadingsOfAnUntrimmedLogAreNotMissing(t *testing.T) {
	s := newServing(t)
	s.up()
	s.store(s.spec.Steps, 1)
	s.leave("w1")
	left, _, err := meter.ReadPending(s.dir.Energy(), s.spec.Run, 0)
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if err := s.service.Append(t.Context(), left[0].Records); err != nil {
		t.Fatal(err)
	}
	if r := s.audit(); len(r.Pending) != 0 {
		t.Errorf("unsent %+v", r.Pending)
	}
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
}
