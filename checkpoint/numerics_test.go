package checkpoint

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestNumericsStayWithTheWeights stores the state of a mixed run: manifest, audit,
// and workers that go on from it, learn of that, also from a service that was restarted.
func TestNumericsStayWithTheWeights(t *testing.T) {
	want := wire.Numerics{Fingerprint: "f", Mixed: true}
	dir := t.TempDir()
	f := openFolder(t, dir, vfs.OS{})
	state, digest := stateAt(t, f.spec, 10)
	c, err := f.store.save(state, assembly.Metadata{Digest: digest, Numerics: want})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := readManifest(c.dir)
	if err != nil || m.Numerics != want || c.numerics != want {
		t.Errorf("the manifest says %+v, %v", m.Numerics, err)
	}
	found, ok := f.recover(t)
	served := newSnapshot(f.store.layout)
	if !ok || served.open(found) != nil || served.info.Numerics != want {
		t.Errorf("a worker that joins learns %+v", served.info.Numerics)
	}
	if err := served.Close(); err != nil {
		t.Error(err)
	}
	r, err := Audit(dir)
	if err != nil || r.Checkpoints[0].Numerics != want {
		t.Fatalf("%+v, %v", r, err)
	}
	if text := r.String(); !strings.Contains(text, filepath.Base(c.dir)+": ") || !strings.Contains(text, ", of a mixed run") {
		t.Errorf("the report does not say that the checkpoint is of a mixed run:\n%s", text)
	}
}

// TestTheLedgerTellsOfNumerics brings what the coordinator tells of workers whose
// arithmetic differs.
func TestTheLedgerTellsOfNumerics(t *testing.T) {
	s := newServing(t)
	s.up()
	events := []wire.Event{{Key: "r", Kind: wire.EventRefused, Reason: "worker far is refused"}, {Key: "m", Kind: wire.EventMixed, Reason: "not reproducible"}}
	for _, e := range events {
		if a := s.audit().Account; a.Mixed {
			t.Error("mixed before a mixed worker was admitted")
		}
		if reply, err := s.request(s.subj.Events(), []wire.Event{e}); err != nil || reply.Error != "" {
			t.Fatal(err, reply.Error)
		}
	}
	if err := s.down(); err != nil {
		t.Fatal(err)
	}
	a := s.audit().Account
	var kinds []string
	for _, n := range a.Notes {
		kinds = append(kinds, n.Kind)
	}
	if !a.Mixed || !slices.Equal(kinds, []string{ledger.NoteRefused, ledger.NoteMixed}) || !strings.Contains(a.String(), "\nmixed: ") {
		t.Errorf("mixed %v, notes %v:\n%s", a.Mixed, kinds, a)
	}
}
