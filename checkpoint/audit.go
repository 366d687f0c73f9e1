package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/runspec"
	"github.com/gramme-project/gramme/internal/wire"
)

// Report is what an audit found to be in order.
type Report struct {
	Account     *ledger.Account `json:"account"`
	Checkpoints []Verified      `json:"checkpoints"`
	// SetAside are the names of checkpoints that a service found damaged and put
	// aside; they are not used and not verified.
	SetAside []string `json:"set_aside,omitempty"`
	// Unsent is what processes that have ended measured and the ledger does not hold:
	// the run takes it in when it goes on.
	Unsent []Unsent `json:"unsent,omitempty"`
}

// Verified is a checkpoint whose files are what the ledger says.
type Verified struct {
	Step   uint64 `json:"step"`
	Folder string `json:"folder"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	Entry  int64  `json:"entry"` // of the ledger
	// Numerics are those of its manifest.
	Numerics wire.Numerics `json:"numerics,omitzero"`
}

// ErrNoLedger says that a folder holds no ledger, so that there is nothing to audit.
var ErrNoLedger = errors.New("no ledger there")

// Audit verifies a run's folder offline: the ledger with all its entries, hashes,
// signatures and proofs, that the energy adds up, that the ledger each checkpoint
// knew is a prefix of it, that the ledger holds each visible checkpoint's manifest,
// and every file against its manifest. A run that is done and of which no process
// lives is also to hold all that its processes measured on this machine, else the
// error is ErrUnsent. Everything that does not verify is named in the error, which is
// a *multierror.Error where the ledger itself stands.
//
// The run may be going on meanwhile.
func Audit(run string) (*Report, error) {
	dir := rundir.Dir(run)
	if _, err := os.Stat(dir.Ledger()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit %s: %w", run, ErrNoLedger)
	}
	// A checkpoint may come while the ledger is read: those that stand now are in
	// the ledger that is read next.
	steps, err := Steps(run)
	if err != nil {
		return nil, fmt.Errorf("audit %s: %w", run, err)
	}
	var heads []ledger.NamedHead
	var faults *multierror.Error
	for _, step := range steps {
		head, err := readHead(dir, step)
		if err != nil {
			faults = multierror.Append(faults, err)
		} else if head != nil {
			heads = append(heads, *head)
		}
	}
	account, err := ledger.Verify(dir.Ledger(), heads...)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	report := &Report{Account: account, Checkpoints: []Verified{}}
	if err := sameSpec(dir, account); err != nil {
		faults = multierror.Append(faults, err)
	}
	for _, step := range steps {
		v, err := auditCheckpoint(dir, step, account)
		if err != nil && stillThere(dir, step) {
			faults = multierror.Append(faults, err)
		} else if err == nil {
			report.Checkpoints = append(report.Checkpoints, v)
		}
	}
	if err := auditLatest(dir, steps); err != nil {
		faults = multierror.Append(faults, err)
	}
	if report.SetAside, err = setAside(dir.Checkpoints()); err != nil {
		faults = multierror.Append(faults, err)
	}
	if err := report.auditEnergy(dir, steps); err != nil {
		faults = multierror.Append(faults, err)
	}
	return report, faults.ErrorOrNil()
}

// auditEnergy looks for energy beside the ledger.
func (r *Report) auditEnergy(dir rundir.Dir, steps []uint64) error {
	unsent, living, err := unsent(dir, r.Account)
	r.Unsent = unsent
	if err != nil || len(unsent) == 0 || living || len(steps) == 0 {
		return err
	}
	spec, err := runspec.Read(dir.Spec())
	if err != nil || steps[len(steps)-1] < spec.Steps {
		return nil // it goes on; and its spec was read before
	}
	var all []string
	for _, u := range unsent {
		all = append(all, u.String())
	}
	return fmt.Errorf("%w: %s", ErrUnsent, strings.Join(all, "; "))
}

// readHead reads the head of the ledger that a checkpoint holds; nil where the
// checkpoint has been removed meanwhile.
func readHead(dir rundir.Dir, step uint64) (*ledger.NamedHead, error) {
	name := folderOf(step)
	b, err := os.ReadFile(filepath.Join(dir.Checkpoints(), name, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		if !stillThere(dir, step) {
			return nil, nil
		}
		return nil, &Damage{name, headFile, "it is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return &ledger.NamedHead{Name: "checkpoint " + filepath.Join(name, headFile), Note: b}, nil
}

// stillThere tells whether a checkpoint has not been removed as one too many while
// it was looked at.
func stillThere(dir rundir.Dir, step uint64) bool {
	_, err := os.Stat(filepath.Join(dir.Checkpoints(), folderOf(step)))
	return !errors.Is(err, fs.ErrNotExist)
}

// sameSpec compares the run's spec with the hash that the ledger begins with.
func sameSpec(dir rundir.Dir, a *ledger.Account) error {
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return err
	}
	if spec.Hash() != a.SpecHash || spec.Run != a.Run {
		return fmt.Errorf("%s: not the spec of run %s, which the ledger is of", dir.Spec(), a.Run)
	}
	return nil
}

func auditCheckpoint(dir rundir.Dir, step uint64, a *ledger.Account) (Verified, error) {
	name := folderOf(step)
	path := filepath.Join(dir.Checkpoints(), name)
	m, hash, err := readManifest(path)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Step: step, Folder: name, Files: len(m.Files) + 1, Entry: -1, Numerics: m.Numerics}
	for _, c := range a.Checkpoints {
		if c.Manifest == hash && c.Folder == name && c.Step == m.Step {
			v.Entry = c.Entry
		}
	}
	switch {
	case v.Entry < 0:
		return v, &Damage{name, manifestFile, "the ledger does not hold it"}
	case m.Run != a.Run || m.SpecHash != a.SpecHash:
		return v, &Damage{name, manifestFile, "it is of another run or spec"}
	case m.Ledger.Size > v.Entry:
		return v, &Damage{name, manifestFile, fmt.Sprintf("it knows a ledger of %d entries, and is entry %d", m.Ledger.Size, v.Entry)}
	}
	if err := verifyFiles(path, m); err != nil {
		return v, err
	}
	for _, f := range m.Files {
		v.Bytes += f.Bytes
	}
	return v, nil
}

// auditLatest checks that latest names a checkpoint.
func auditLatest(dir rundir.Dir, steps []uint64) error {
	if len(steps) == 0 {
		return nil
	}
	to, err := os.Readlink(filepath.Join(dir.Checkpoints(), latestLink))
	if err != nil {
		return &Damage{latestLink, "", "it is no link to a checkpoint"}
	}
	if _, ok := stepOf(to); !ok {
		return &Damage{latestLink, "", fmt.Sprintf("it names %q, which is no checkpoint", to)}
	}
	if _, err := os.Stat(filepath.Join(dir.Checkpoints(), to)); err != nil {
		return &Damage{latestLink, "", fmt.Sprintf("it names %s, which is not there", to)}
	}
	return nil
}

// String is the report as a person reads it.
func (r *Report) String() string {
	var b strings.Builder
	b.WriteString(r.Account.String())
	if len(r.Checkpoints) > 0 {
		b.WriteString("\nverified\n")
	}
	for _, c := range r.Checkpoints {
		mixed := ""
		if c.Numerics.Mixed {
			mixed = ", of a mixed run"
		}
		fmt.Fprintf(&b, "  %s: %d files, %.1f MB, as entry %d says%s\n", c.Folder, c.Files, float64(c.Bytes)/1e6, c.Entry, mixed)
	}
	for _, name := range r.SetAside {
		fmt.Fprintf(&b, "  %s: found damaged before and set aside\n", name)
	}
	for _, u := range r.Unsent {
		fmt.Fprintf(&b, "\nwarning: not in the ledger yet: %s; the run takes it in when it goes on\n", u)
	}
	fmt.Fprintf(&b, "\nok: %d entries, root %s, %d checkpoints", r.Account.Entries, r.Account.Root, len(r.Checkpoints))
	return b.String()
}
