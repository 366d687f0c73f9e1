package checkpoint

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
)

// smallSpec is a run of a model of a few hundred weights.
func smallSpec(t testing.TB) runspec.Spec {
	t.Helper()
	spec, _, err := runspec.New()
	if err != nil {
		t.Fatal(err)
	}
	spec.Run, spec.Steps, spec.Precision, spec.Threads = "test", 100, runspec.PrecisionF32, 1
	spec.VocabSize, spec.MaxSeq = 64, 16
	spec.Workers = runspec.Workers{Min: 1, Max: 1}
	m := &spec.Model
	m.HiddenSize, m.Layers, m.Heads, m.IntermediateSize, m.MaxPositions = 8, 1, 2, 16, 16
	if err := spec.Complete(); err != nil {
		t.Fatal(err)
	}
	return spec
}

// stateAt is a state whose numbers tell its step.
func stateAt(t testing.TB, spec runspec.Spec, step uint64) (*replica.State, string) {
	t.Helper()
	layout := model.NewLayout(spec.ModelConfig(spec.VocabSize))
	s, err := replica.NewState(spec.Rule(layout), make([]float32, layout.Total))
	if err != nil {
		t.Fatal(err)
	}
	s.Step, s.Updates, s.Samples, s.Tokens = step, step, 16*step, 1000*step+step*step // of some length
	r := rand.New(rand.NewPCG(step, 1))
	for _, x := range layout.Tensors {
		for i := x.Offset; i < x.Offset+x.Len; i++ {
			s.Weights[i], s.Moment1[i], s.Moment2[i] = r.Float32(), r.Float32(), r.Float32()
		}
	}
	digest, err := replica.Digest(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s, digest
}

// folder is a run's folder with an open store.
type folder struct {
	dir   rundir.Dir
	spec  runspec.Spec
	log   *ledger.Log
	store *store
}

func ledgerOptions(dir rundir.Dir, spec runspec.Spec) ledger.Options {
	return ledger.Options{
		Dir: dir.Ledger(), KeyPath: filepath.Join(dir.Keys(), "signing.key"),
		Run: spec.Run, SpecHash: spec.Hash(), Software: "gramme test",
	}
}

// openFolder opens a folder that is there or makes one.
func openFolder(t testing.TB, dir string, d vfs.FS) *folder {
	t.Helper()
	f := &folder{dir: rundir.Dir(dir), spec: smallSpec(t)}
	if err := f.dir.Make(); err != nil {
		t.Fatal(err)
	}
	if err := f.spec.Write(f.dir.Spec()); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.log, err = ledger.Open(ledgerOptions(f.dir, f.spec)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.log.Close() })
	f.store = &store{
		disk: d, dir: f.dir.Checkpoints(), spec: f.spec, layout: model.NewLayout(f.spec.ModelConfig(f.spec.VocabSize)),
		tokenizer: map[string][]byte{"vocab.txt": []byte("[PAD]\n")}, log: f.log, software: "gramme test", now: time.Now,
	}
	return f
}

func (f *folder) save(t testing.TB, step uint64) saved {
	t.Helper()
	state, digest := stateAt(t, f.spec, step)
	c, err := f.store.save(state, assembly.Metadata{Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.prune(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *folder) recover(t testing.TB) (saved, bool) {
	t.Helper()
	c, found, err := f.store.recoverFromCrash()
	if err != nil {
		t.Fatal(err)
	}
	return c, found
}
