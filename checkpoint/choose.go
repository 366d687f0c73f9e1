package checkpoint

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// Choice is the checkpoint of a run for its readers: the newest that verifies.
type Choice struct {
	Step   uint64 // 0: there is none
	Folder string // path; empty where there is none
	// PassedOver are newer checkpoints that were not chosen, the newest first.
	PassedOver []PassedOver
	// Unproven says why the manifest was not compared with the ledger; nil if it was.
	Unproven error
}

// Damaged returns the newest present checkpoint that was passed over because it does not
// verify; nil if there is none.
func (c Choice) Damaged() *PassedOver {
	for i := range c.PassedOver {
		if c.PassedOver[i].Present {
			return &c.PassedOver[i]
		}
	}
	return nil
}

// maxAttempts bounds how often a choice starts again because a checkpoint was pruned while
// it was read.
const maxAttempts = 20

// Choose decides which checkpoint of a run its readers use, and changes nothing. The run
// may still be training. tell, which may be nil, is called before slow operations.
//
// A service that is started on the folder resumes from the same checkpoint.
func Choose(run string, depth Depth, tell func(string)) (Choice, error) {
	dir := rundir.Dir(run)
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return Choice{}, err
	}
	look := inspector{run: spec.Run, spec: spec.Hash(), depth: depth, tell: tell}
	for range maxAttempts {
		var c Choice
		var again bool
		if c, again, err = look.choose(dir); !again {
			return c, err
		}
	}
	return Choice{}, err
}

// choose makes one attempt; again says that a checkpoint was removed while it was read.
func (i inspector) choose(dir rundir.Dir) (c Choice, again bool, err error) {
	// The folders come first: those that exist now are in the ledger that is read next.
	all, err := candidates(dir.Checkpoints())
	if err != nil {
		return c, false, err
	}
	i.entries, c.Unproven = ledger.Checkpoints(dir.Ledger())
	i.unproven = c.Unproven != nil
	taken, found, passed, err := i.newest(dir.Checkpoints(), all)
	for _, a := range all {
		if a.step < taken.step {
			continue
		}
		if _, gone := os.Lstat(a.path); errors.Is(gone, fs.ErrNotExist) {
			return c, true, errors.Join(err, fmt.Errorf("%s: it was removed while it was read", a.path))
		}
	}
	if err != nil {
		return c, false, err
	}
	c.PassedOver = passed
	if found {
		c.Step, c.Folder = taken.step, taken.dir
	}
	return c, false, nil
}

// candidates lists the checkpoints of a folder by their step, including those that a
// service wrote and had no time to publish.
func candidates(dir string) ([]candidate, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	var all []candidate
	for _, e := range entries {
		name, staged := strings.CutPrefix(e.Name(), stagedPrefix)
		if step, ok := stepOf(name); ok {
			all = append(all, candidate{step, filepath.Join(dir, e.Name()), staged})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.step, b.step) })
	return all, nil
}

// CheckModel compares the files of a model in a folder with the manifest in it and, if the
// folder is a checkpoint of a run, with the run's ledger. verified is false if the folder
// has no manifest, like those of other software. An error that names damage is a
// *DamageError.
func CheckModel(folder string, tell func(string)) (verified bool, err error) {
	at, err := filepath.EvalSymlinks(folder)
	if err == nil {
		at, err = filepath.Abs(at)
	}
	if err != nil {
		return false, err
	}
	if step, ok := stepOf(filepath.Base(at)); ok && filepath.Base(filepath.Dir(at)) == "checkpoints" {
		dir := rundir.Dir(filepath.Dir(filepath.Dir(at)))
		if spec, err := runspec.Read(dir.Spec()); err == nil {
			look := inspector{run: spec.Run, spec: spec.Hash(), depth: Weights, tell: tell}
			look.entries, err = ledger.Checkpoints(dir.Ledger())
			look.unproven = err != nil
			_, err = look.inspect(at, folderOf(step))
			return err == nil, err
		}
	}
	b, err := os.ReadFile(filepath.Join(at, manifestFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && foreign(b) {
		return false, nil
	}
	m, _, err := readManifest(at)
	if err == nil {
		err = reporting(tell, at, func() error { return verifyFiles(at, m, Weights) })
	}
	return err == nil, err
}

// foreign reports whether a file with the name of a manifest belongs to other software.
func foreign(manifest []byte) bool {
	var m struct {
		Digest   *string `json:"digest"`
		SpecHash *string `json:"spec_hash"`
	}
	return json.Unmarshal(manifest, &m) == nil && m.Digest == nil && m.SpecHash == nil
}
