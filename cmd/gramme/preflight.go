package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/launch/preflight"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// fewestPieces is a vocabulary smaller than which no text gives.
const fewestPieces = 30

// mostWalked bounds how many files of a corpus are looked at for their size.
const mostWalked = 20000

// checkMachine checks, before anything is read, whether this machine has the resources
// of the run, and with how many workers to start.
func (u *up) checkMachine() error {
	r := preflight.Check(machine.Look(u.dir), needOf(u.dir, u.spec, u.shared != nil))
	if err := listed(r.At(preflight.Failure)); err != nil {
		return err
	}
	u.workers = r.Workers
	for _, f := range r.At(preflight.Warning) {
		text := f.String()
		if f.Name == r.Scarce {
			text = fmt.Sprintf("starting with %d of %s: %s", r.Workers, words.Several(u.spec.Workers.Max, "worker"), text)
		}
		fmt.Fprintf(u.err, "warning: %s; %s\n", text, f.Hint)
	}
	return nil
}

// fittingWorkers returns how many workers of the run, up to some, the machine has the
// resources for.
func (u *up) fittingWorkers(most int) int {
	n := needOf(u.dir, u.spec, u.shared != nil)
	n.Least, n.Most = 1, most
	return preflight.Check(machine.Look(u.dir), n).Workers
}

// listed combines findings into one error.
func listed(found []preflight.Finding) error {
	if len(found) == 0 {
		return nil
	}
	var all []error
	var hints []string
	for _, f := range found {
		all = append(all, errors.New(f.String()))
		hints = append(hints, f.Hint)
	}
	return exit.Wrap(exit.Resource, strings.Join(hints, "; "), failures.Of(all...))
}

// needOf returns the resources that a run needs, as far as spec and corpus tell.
func needOf(dir rundir.Dir, spec runspec.Spec, shared bool) preflight.Need {
	n := preflight.Need{Least: spec.Workers.Min, Most: spec.Workers.Max, Threads: spec.Threads, Shared: shared}
	most, fewest := spec.VocabSize, min(spec.VocabSize, fewestPieces)
	if m, err := preparedCorpus(dir, spec); err == nil {
		most, fewest = m.VocabSize, m.VocabSize
	} else {
		n.Input = inputSize(spec.Corpus)
	}
	n.Parameters, n.FewestParameters = int64(newLayout(spec, most).Total), int64(newLayout(spec, fewest).Total)
	if spec.Device != runspec.DeviceCUDA {
		n.Activations = preflight.Shape{
			Rows: spec.Batch.Rows, Seq: spec.MaxSeq, Masked: spec.Masking.MaxPredictions, Vocab: most,
			Layers: spec.Model.Layers, Hidden: spec.Model.HiddenSize, Intermediate: spec.Model.IntermediateSize, Heads: spec.Model.Heads,
		}.Activations()
	}
	return n
}

// preparedCorpus is the corpus of a run, or the prepared one that a new run was given.
func preparedCorpus(dir rundir.Dir, spec runspec.Spec) (shard.Manifest, error) {
	m, err := shard.OpenManifest(dir.Corpus())
	if err != nil && len(spec.Corpus) == 1 {
		return shard.OpenManifest(spec.Corpus[0])
	}
	return m, err
}

// inputSize adds up the files of a corpus, as far as they can be seen quickly.
func inputSize(paths []string) (size int64) {
	left := mostWalked
	for _, path := range paths {
		_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
			if left--; left < 0 {
				return filepath.SkipAll
			}
			if err != nil || e.IsDir() {
				return nil // the reader of the corpus reports it
			}
			if info, err := os.Stat(filepath.Clean(path)); err == nil && !info.IsDir() {
				size += info.Size() // a file that was named, perhaps by a link
				return filepath.SkipAll
			}
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
			return nil
		})
	}
	return size
}
