package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/rundir"
)

// headsIn returns the heads of the ledger in checkpoints: in all visible ones, and in those
// that were set aside if the head is still readable.
func headsIn(dir rundir.Dir, steps []uint64, aside []string) (heads []ledger.NamedHead, err error) {
	var errs []error
	for _, step := range steps {
		head, err := readHead(dir, step)
		if head != nil {
			heads = append(heads, *head)
		}
		errs = append(errs, err)
	}
	for _, name := range aside {
		head, err := headOf(dir.Checkpoints(), name)
		if err == nil && ledger.Signed(dir.Ledger(), head.Note) {
			heads = append(heads, head)
		}
	}
	return heads, failures.Of(errs...)
}

// readHead reads the head of the ledger in a checkpoint; nil if the checkpoint has been
// removed since it was listed.
func readHead(dir rundir.Dir, step uint64) (*ledger.NamedHead, error) {
	name := folderOf(step)
	head, err := headOf(dir.Checkpoints(), name)
	if errors.Is(err, fs.ErrNotExist) {
		if !stillThere(dir, step) {
			return nil, nil
		}
		return nil, &DamageError{name, headFile, "it is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return &head, nil
}

// stillThere reports whether a checkpoint still exists: the service may have pruned it while
// it was read.
func stillThere(dir rundir.Dir, step uint64) bool {
	_, err := os.Stat(filepath.Join(dir.Checkpoints(), folderOf(step)))
	return !errors.Is(err, fs.ErrNotExist)
}

// auditCheckpoint checks a visible checkpoint against its manifest, and that against
// the ledger.
func auditCheckpoint(dir rundir.Dir, step uint64, a *ledger.Account) (Verified, error) {
	name := folderOf(step)
	path := filepath.Join(dir.Checkpoints(), name)
	look := inspector{run: a.Run, spec: a.SpecHash, entries: a.Checkpoints, depth: Complete}
	found, err := look.inspect(path, name)
	if err != nil {
		return Verified{}, err
	}
	if err := strangers(path, found.contents); err != nil {
		return Verified{}, err
	}
	v := Verified{Step: step, Folder: name, Files: len(found.contents.Files) + 1, Entry: found.entry, Numerics: found.numerics}
	for _, f := range found.contents.Files {
		v.Bytes += f.Bytes
	}
	return v, nil
}

// auditNewest checks that the newest checkpoint of the ledger exists, at least as the staged
// folder of a service that had no time to publish it, or that a note says why it does not.
func auditNewest(dir rundir.Dir, a *ledger.Account) error {
	if len(a.Checkpoints) == 0 {
		return nil
	}
	c := a.Checkpoints[len(a.Checkpoints)-1]
	for _, n := range a.Notes {
		if n.Kind == ledger.NoteQuarantine && n.Step == c.Step && n.Entry > c.Entry {
			return nil
		}
	}
	if _, err := os.Lstat(filepath.Join(dir.Checkpoints(), stagedPrefix+c.Folder)); err == nil {
		return nil
	}
	// Newer checkpoints may have replaced it.
	steps, err := stepsIn(dir.Checkpoints())
	if err != nil || len(steps) > 0 && steps[len(steps)-1] >= c.Step {
		return err
	}
	return &DamageError{c.Folder, "", fmt.Sprintf("it is missing, and is the newest of the ledger, as entry %d says", c.Entry)}
}

// auditLatest checks that latest names the newest checkpoint. As long as the run is not
// finished it may name the one before, or be missing: a service may have been killed between
// the two steps.
func auditLatest(dir rundir.Dir, steps []uint64, over bool) error {
	if len(steps) == 0 {
		return nil
	}
	before, newest := uint64(0), steps[len(steps)-1]
	if len(steps) > 1 {
		before = steps[len(steps)-2]
	}
	to, err := os.Readlink(filepath.Join(dir.Checkpoints(), latestLink))
	if errors.Is(err, fs.ErrNotExist) && len(steps) == 1 && !over {
		return nil
	}
	damage := func(format string, args ...any) error { return damaged(latestLink, "", format, args...) }
	if err != nil {
		return damage("it is no link to a checkpoint")
	}
	step, ok := stepOf(to)
	if !ok {
		return damage("it names %q, which is no checkpoint", to)
	}
	if _, err := os.Stat(filepath.Join(dir.Checkpoints(), to)); err != nil {
		return damage("it names %s, which is not there", to)
	}
	if step < before || step < newest && over {
		return damage("it names %s, and the newest is %s", to, folderOf(newest))
	}
	return nil
}
