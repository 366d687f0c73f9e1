package checkpoint

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
)

// saveCourse stores the state of a step that some steps of one loss led to; skipped
// ones changed nothing.
func (f *folder) saveCourse(t *testing.T, before *replica.State, steps uint64, loss float64, skipped bool) *replica.State {
	t.Helper()
	s, _ := stateAt(t, f.spec, before.Step+steps)
	s.Updates, s.Losses, s.History = before.Updates, before.Losses, before.History
	for i := range steps {
		s.History = s.History.Next(before.Step+i+1, loss, skipped)
		if !skipped {
			s.Updates++
		}
		if !math.IsNaN(loss) {
			s.Losses.Steps++
			s.Losses.MLM += number.Float(loss)
			s.Losses.NSP++
		}
	}
	digest, err := replica.Digest(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.save(s, assembly.Metadata{Digest: digest, Generation: 3, Loss: number.Float(loss + 1)}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLedgerTellsDivergence stores the states of a run that goes well, then skips
// every step. The ledger says so once, with means of what was finite, whichever
// service stored what.
func TestLedgerTellsDivergence(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir, vfs.OS{})
	s := f.saveCourse(t, &replica.State{}, 10, 9, false)
	s = f.saveCourse(t, s, 10, math.NaN(), true)
	if err := f.log.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFolder(t, dir, vfs.OS{}) // another process
	f.recover(t)
	s = f.saveCourse(t, s, 9, math.NaN(), true)
	s = f.saveCourse(t, s, 5, math.NaN(), true)
	f.saveCourse(t, s, 5, math.NaN(), true)
	r, err := Audit(dir)
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for _, n := range r.Account.Notes {
		if n.Kind == ledger.NoteTraining {
			notes = append(notes, n.Text)
		}
	}
	if len(notes) != 2 || !strings.HasPrefix(notes[0], "up to step 20, 10 of the newest 20") || !strings.HasPrefix(notes[1], "up to step 34, 24 of the newest 32") {
		t.Errorf("notes %q", notes)
	}
	text := r.String()
	for _, want := range []string{
		"mean losses: MLM 9.0000 and NSP 1.0000 in steps 1 to 10\n", "skipped: 29 steps, because gradients were not finite\n",
		"training diverged: up to step 34, 24 of the newest 32 steps were skipped",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestManifestTellsOfTheRun has a run without dropout, whose precision was measured:
// the manifest says so, and a user who takes the model elsewhere finds what BERT's users
// expect.
func TestManifestTellsOfTheRun(t *testing.T) {
	for _, c := range []struct{ trained, published float64 }{{0, model.UsualDropout}, {0.1, 0.1}, {0.25, 0.25}} {
		f := openFolder(t, t.TempDir(), vfs.OS{})
		choice := runspec.ChoosePrecision(10, 13)
		f.store.spec.Dropout, f.store.precision = c.trained, &choice
		f.saveCourse(t, &replica.State{}, 4, 9, false)
		at := filepath.Join(f.dir.Checkpoints(), latestLink)
		b, err := ReadSummary(filepath.Join(f.dir.Checkpoints(), folderOf(4)))
		if err != nil {
			t.Fatal(err)
		}
		m := b.Manifest
		if float64(m.Dropout) != c.trained || m.Generation != 3 || *m.Precision != choice || m.Losses == nil || m.Losses.MLM != 9 || m.Losses.Steps != 4 || b.State.Step != 4 {
			t.Errorf("manifest %+v", m)
		}
		config, err := os.ReadFile(filepath.Join(at, configFile))
		if err != nil {
			t.Fatal(err)
		}
		var hf map[string]any
		if err := json.Unmarshal(config, &hf); err != nil {
			t.Fatal(err)
		}
		if hf["hidden_dropout_prob"] != c.published || hf["attention_probs_dropout_prob"] != c.published {
			t.Errorf("trained with %g, published %v and %v", c.trained, hf["hidden_dropout_prob"], hf["attention_probs_dropout_prob"])
		}
		spec, err := runspec.Read(filepath.Join(at, specFile))
		if err != nil || spec.Dropout != c.trained {
			t.Errorf("the run's spec has %g, %v", spec.Dropout, err)
		}
	}
}

func TestBriefOfADamagedStateIsRefused(t *testing.T) {
	f := openFolder(t, t.TempDir(), vfs.OS{})
	f.save(t, 10)
	dir := filepath.Join(f.dir.Checkpoints(), folderOf(10))
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(`{"replica":{"step":1}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadSummary(dir); err == nil {
		t.Errorf("it says %+v", b.State)
	}
}
