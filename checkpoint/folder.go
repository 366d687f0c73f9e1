package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
)

// The files of a checkpoint. Those of the tokenizer are beside them, under the names that
// they have in the corpus.
const (
	modelFile     = "model.safetensors"
	optimizerFile = "optimizer.safetensors"
	configFile    = "config.json"
	stateFile     = "state.json"
	specFile      = "spec.yaml"
	headFile      = "ledger-head"
	manifestFile  = "manifest.json"
)

// Names beside the checkpoints.
const (
	latestLink     = "latest"
	stagedPrefix   = ".staged-"  // being written
	droppedPrefix  = ".dropped-" // being removed
	setAsidePrefix = "damaged-"
)

var stepName = regexp.MustCompile(`^step-(\d{10,20})$`)

// folderOf is the name of a step's checkpoint. Names sort as steps do.
func folderOf(step uint64) string { return fmt.Sprintf("step-%010d", step) }

// stepOf returns the step of such a name.
func stepOf(name string) (uint64, bool) {
	m := stepName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	step, err := strconv.ParseUint(m[1], 10, 64)
	return step, err == nil && folderOf(step) == name
}

// Steps lists the steps of a run's visible checkpoints, ascending, damaged or not. A
// run that has none yet has an empty list.
func Steps(run string) ([]uint64, error) { return stepsIn(rundir.Dir(run).Checkpoints()) }

func stepsIn(dir string) ([]uint64, error) {
	all, err := candidates(dir)
	var steps []uint64
	for _, c := range all {
		if !c.staged {
			steps = append(steps, c.step)
		}
	}
	return steps, err
}

// headOf reads the head of the ledger in a checkpoint.
func headOf(dir, name string) (ledger.NamedHead, error) {
	b, err := os.ReadFile(filepath.Join(dir, name, headFile))
	return ledger.NamedHead{Name: "checkpoint " + filepath.Join(name, headFile), Note: b}, err
}

// setAside lists the names of checkpoints that did not verify.
func setAside(dir string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, setAsidePrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("list damaged checkpoints: %w", err)
	}
	names := make([]string, len(found))
	for i, path := range found {
		names[i] = filepath.Base(path)
	}
	return names, nil
}

// asideName returns a free name in a folder for a checkpoint that is set aside.
func asideName(dir, name string) string {
	aside := setAsidePrefix + name
	for n := 2; ; n++ {
		if _, err := os.Lstat(filepath.Join(dir, aside)); errors.Is(err, fs.ErrNotExist) {
			return aside
		}
		aside = fmt.Sprintf("%s%s-%d", setAsidePrefix, name, n)
	}
}
