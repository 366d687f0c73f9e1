package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/divergence"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
	"github.com/gramme-project/gramme/runspec"
)

// store is the folder of a run's checkpoints together with the ledger that says
// which of them count. One goroutine uses it.
type store struct {
	disk      vfs.FS
	dir       string
	spec      runspec.Spec
	layout    model.Layout
	tokenizer map[string][]byte // files by name
	log       *ledger.Log
	software  string
	precision *runspec.PrecisionChoice // nil: not chosen by a measurement, or by an unknown one
	now       func() time.Time
	// told is the small part of the state up to which the ledger knows the steps
	// of this line of checkpoints; zero before the first.
	told replica.Meta
}

// saved is a stored checkpoint.
type saved struct {
	step     uint64
	dir      string // path
	manifest string // SHA-256
	head     ledger.Tree
	numerics wire.Numerics
}

// keyOf is the ledger's key of a checkpoint.
func keyOf(manifest string) string { return "checkpoint/" + manifest }

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// save stores a state. When it returns without an error the checkpoint is durable, visible
// and in the ledger. After an error the previous one is still the newest; the next
// recoverFromCrash completes or removes the unfinished one.
func (s *store) save(state *replica.State, a assembly.Metadata) (saved, error) {
	name := folderOf(state.Step)
	staged := s.path(stagedPrefix + name)
	fail := func(err error) (saved, error) { return saved{}, fmt.Errorf("store checkpoint %s: %w", name, err) }
	if err := vfs.RemoveAll(s.disk, staged); err != nil {
		return fail(err)
	}
	if err := vfs.MkdirAll(s.disk, staged, 0o755); err != nil {
		return fail(err)
	}
	m, hash, err := s.stage(staged, state, a)
	if err == nil {
		err = vfs.SyncDir(s.disk, s.dir) // a folder that the ledger names must exist
	}
	if err != nil {
		// If the disk is full, this frees the space.
		return fail(errors.Join(err, vfs.RemoveAll(s.disk, staged)))
	}
	if _, err = s.log.Append(s.entries(state, a, m, hash)...); err != nil {
		return fail(err)
	}
	s.told = state.Meta
	if err := s.publish(staged, name); err != nil {
		return fail(err)
	}
	return saved{m.Step, s.path(name), hash, m.Ledger, m.Numerics}, nil
}

// entries returns the ledger's entries of a checkpoint, which are appended together: the
// steps since the previous checkpoint, and the checkpoint. Samples, tokens and losses are
// counted by the replicas, so they are exact whichever workers computed the steps. A
// divergence of the training is noted when it is first found, and when its kind changes.
func (s *store) entries(state *replica.State, a assembly.Metadata, m Manifest, hash string) []ledger.Entry {
	saved := ledger.Entry{Key: keyOf(hash), Checkpoint: &ledger.Checkpoint{Step: m.Step, Folder: folderOf(m.Step), Manifest: hash}}
	if state.Step <= s.told.Step {
		return []ledger.Entry{saved}
	}
	steps := &ledger.Steps{
		FirstStep: s.told.Step + 1, LastStep: state.Step, Generation: a.Generation,
		Samples: state.Samples - s.told.Samples, Tokens: state.Tokens - s.told.Tokens, Loss: a.Loss,
		Skipped: state.Skipped() - s.told.Skipped(),
	}
	if m.Losses != nil {
		steps.Losses = &m.Losses.Losses
	}
	entries := []ledger.Entry{{Key: "steps/" + hash, Steps: steps}}
	if f := state.History.Finding(); f.Kind != divergence.None && f.Kind != s.told.History.Finding().Kind {
		entries = append(entries, ledger.Entry{Key: "training/" + hash, Note: &ledger.Note{
			Kind: ledger.NoteTraining, Text: fmt.Sprintf("up to step %d, %s", state.Step, f.Text), Step: state.Step, Generation: a.Generation,
		}})
	}
	return append(entries, saved)
}

// losses are the means over the steps since the checkpoint before, nil where none is
// known.
func (s *store) losses(state *replica.State) *ledger.MeanLoss {
	mlm, nsp, n := state.Losses.Mean(s.told.Losses)
	if n == 0 || state.Step <= s.told.Step {
		return nil
	}
	return &ledger.MeanLoss{
		FirstStep: s.told.Step + 1, LastStep: state.Step,
		Losses: ledger.Losses{Steps: n, MLM: number.Float(mlm), NSP: number.Float(nsp)},
	}
}

// prune removes the oldest checkpoints beyond the number to keep. It renames each first, so
// that none is ever visible in part.
func (s *store) prune() error {
	steps, err := stepsIn(s.dir)
	if err != nil {
		return err
	}
	for _, step := range steps[:max(0, len(steps)-s.spec.Checkpoint.Keep)] {
		name := folderOf(step)
		// The rename must be durable: otherwise the name might come back after a loss of
		// power, without the files.
		err := vfs.Commit(s.disk, s.path(name), s.path(droppedPrefix+name))
		if err == nil {
			err = vfs.RemoveAll(s.disk, s.path(droppedPrefix+name))
		}
		if err != nil {
			return fmt.Errorf("remove checkpoint %s: %w", name, err)
		}
	}
	return nil
}
