package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/waiting"
)

// Depth is how much of a checkpoint is compared with its manifest.
type Depth int

// The depths. All read the manifest, and check that every file exists.
const (
	Sizes    Depth = iota // that every file has its length; no content is read
	Weights               // and the hash of all files but the optimizer's state
	Complete              // and that of the optimizer's state
)

// inspector decides whether a folder is the checkpoint that it should be. All users of
// checkpoints call it: the service that resumes from one, the commands that read one, and
// the audit.
type inspector struct {
	run, spec string         // the run's name and the hash of its spec
	entries   []ledger.Saved // the checkpoints that the ledger holds
	unproven  bool           // there is no ledger to compare with
	depth     Depth
	tell      func(string) // is called before slow operations; may be nil
}

// inspection is the content of a folder that verifies.
type inspection struct {
	saved
	contents Manifest
	entry    int64 // of the ledger; -1 if the ledger was not read
}

// inspect verifies the folder at path, which is to be the checkpoint called name. If the
// folder is damaged, the error is a *DamageError.
func (i inspector) inspect(path, name string) (inspection, error) {
	m, hash, err := readManifest(path)
	if err != nil {
		return inspection{}, err
	}
	damage := func(format string, args ...any) error { return damaged(name, manifestFile, format, args...) }
	entry := int64(-1)
	for _, e := range i.entries {
		if e.Manifest == hash && e.Folder == name && e.Step == m.Step {
			entry = e.Entry
		}
	}
	switch {
	case folderOf(m.Step) != name:
		return inspection{}, damage("it is of step %d", m.Step)
	case m.Run != i.run || m.SpecHash != i.spec:
		return inspection{}, damage("it is of another run or spec")
	case entry < 0 && !i.unproven:
		return inspection{}, damage("the ledger does not hold it")
	case m.Ledger.Size > entry && !i.unproven:
		return inspection{}, damage("it knows a ledger of %d entries, and is entry %d", m.Ledger.Size, entry)
	}
	if err := reporting(i.tell, path, func() error { return verifyFiles(path, m, i.depth) }); err != nil {
		return inspection{}, err
	}
	return inspection{saved{m.Step, path, hash, m.Ledger, m.Numerics}, m, entry}, nil
}

// candidate is a folder that may be the newest checkpoint.
type candidate struct {
	step   uint64
	path   string
	staged bool // a service had no time to publish it; such a folder counts only if it is complete
}

// PassedOver is a checkpoint that is newer than the chosen one.
type PassedOver struct {
	Step   uint64
	Folder string // the name that it has or had
	Reason error  // why it is not chosen
	// Present says that the folder exists and is damaged. Otherwise it is missing, or was
	// set aside earlier.
	Present bool
	Aside   string // the name that a service gives it then
}

// String is one line for people.
func (p PassedOver) String() string {
	why := p.Reason.Error()
	if d := (*DamageError)(nil); errors.As(p.Reason, &d) {
		why = d.Reason
		if d.File != "" {
			why = d.File + ": " + why
		}
	}
	if p.Present {
		return fmt.Sprintf("the checkpoint of step %d is damaged and not used: %s", p.Step, why)
	}
	return fmt.Sprintf("the checkpoint of step %d is not used: %s", p.Step, why)
}

// newest chooses the newest of some checkpoints that verifies. It also returns the newer
// ones that do not, newest first, and the newest one of the ledger if its folder is missing.
// found is false if none verifies.
func (i inspector) newest(dir string, all []candidate) (taken inspection, found bool, passed []PassedOver, err error) {
	for n := len(all) - 1; n >= 0 && !found; n-- {
		c := all[n]
		name := folderOf(c.step)
		taken, err = i.inspect(c.path, name)
		var damage *DamageError
		damaged := errors.As(err, &damage)
		switch {
		case err == nil:
			found = true
		case !damaged:
			return inspection{}, false, nil, err
		case !c.staged:
			passed = append(passed, PassedOver{c.step, name, damage, true, asideName(dir, name)})
		}
	}
	if !found {
		taken = inspection{}
	}
	if len(i.entries) == 0 {
		return taken, found, passed, nil
	}
	last := i.entries[len(i.entries)-1]
	if last.Step <= taken.step || len(passed) > 0 && passed[0].Step >= last.Step {
		return taken, found, passed, nil
	}
	gone := PassedOver{Step: last.Step, Folder: last.Folder, Reason: &DamageError{last.Folder, "", "it is missing"}}
	if aside, err := filepath.Glob(filepath.Join(dir, setAsidePrefix+last.Folder+"*")); err == nil && len(aside) > 0 {
		gone.Reason = &DamageError{last.Folder, "", "it did not verify and was set aside as " + filepath.Base(aside[len(aside)-1])}
	}
	return taken, found, append([]PassedOver{gone}, passed...), nil
}

// reporting does what may take long. It tells then that a folder is being checked.
func reporting(tell func(string), folder string, check func() error) error {
	if tell == nil {
		return check()
	}
	return waiting.Reported(tell, "comparing "+folder+" with the hashes of its manifest", check)
}
