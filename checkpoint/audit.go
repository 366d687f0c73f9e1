package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// Report is what an audit found to be in order.
type Report struct {
	Account     *ledger.Account `json:"account"`
	Checkpoints []Verified      `json:"checkpoints"`
	// SetAside are the names of checkpoints that a service found damaged and set
	// aside; they are not used and not verified.
	SetAside []string `json:"set_aside,omitempty"`
	// Pending readings of processes that have ended are not in the ledger yet: the run
	// ingests them when it continues.
	Pending []PendingReadings `json:"unsent,omitempty"`
}

// Verified is a checkpoint whose files are as the ledger records them.
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
// every file against its manifest, and that the newest checkpoint of the ledger is
// there. The ledger of a finished run without living processes must also hold all readings
// that they took on this machine, else the error is ErrPendingReadings. held are heads of
// the ledger that were kept elsewhere: the ledger must extend them. The error has one line
// for each thing that does not verify.
//
// The run may still be training.
func Audit(run string, held ...ledger.NamedHead) (*Report, error) {
	dir := rundir.Dir(run)
	if _, err := os.Stat(dir.Ledger()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit %s: %w", run, ErrNoLedger)
	}
	// A checkpoint may appear while the ledger is read. Those that exist now are in
	// the ledger that is read next.
	steps, err := Steps(run)
	if err != nil {
		return nil, fmt.Errorf("audit %s: %w", run, err)
	}
	aside, err := setAside(dir.Checkpoints())
	if err != nil {
		return nil, fmt.Errorf("audit %s: %w", run, err)
	}
	var faults []error
	heads, err := headsIn(dir, steps, aside)
	faults = append(faults, err)
	account, err := ledger.Verify(dir.Ledger(), append(heads, held...)...)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	report := &Report{Account: account, Checkpoints: []Verified{}, SetAside: aside}
	spec, err := sameSpec(dir, account)
	faults = append(faults, err)
	for _, step := range steps {
		v, err := auditCheckpoint(dir, step, account)
		if err != nil && stillThere(dir, step) {
			faults = append(faults, err)
		} else if err == nil {
			report.Checkpoints = append(report.Checkpoints, v)
		}
	}
	var living bool
	report.Pending, living, err = findPending(dir, account)
	faults = append(faults, err)
	all := account.Checkpoints
	over := !living && len(all) > 0 && spec.Steps > 0 && all[len(all)-1].Step >= spec.Steps
	if over {
		faults = append(faults, report.pendingError())
	}
	faults = append(faults, auditNewest(dir, account), auditLatest(dir, steps, over))
	return report, failures.Of(faults...)
}

// pendingError returns the error of a finished run whose ledger lacks energy.
func (r *Report) pendingError() error {
	if len(r.Pending) == 0 {
		return nil
	}
	var all []string
	for _, u := range r.Pending {
		all = append(all, u.String())
	}
	return fmt.Errorf("%w: %s", ErrPendingReadings, strings.Join(all, "; "))
}

// sameSpec compares the run's spec with the hash that the ledger begins with.
func sameSpec(dir rundir.Dir, a *ledger.Account) (runspec.Spec, error) {
	spec, err := runspec.Read(dir.Spec())
	if err != nil {
		return runspec.Spec{}, err
	}
	if spec.Hash() != a.SpecHash || spec.Run != a.Run {
		return runspec.Spec{}, fmt.Errorf("%s: not the spec of run %s, which the ledger is of", dir.Spec(), a.Run)
	}
	return spec, nil
}

// String returns the report as text for people.
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
		fmt.Fprintf(&b, "  %s: %s, %.1f MB, as entry %d says%s\n", c.Folder, words.Several(c.Files, "file"), float64(c.Bytes)/1e6, c.Entry, mixed)
	}
	for _, name := range r.SetAside {
		fmt.Fprintf(&b, "  %s: found damaged before and set aside\n", name)
	}
	for _, u := range r.Pending {
		fmt.Fprintf(&b, "\nwarning: not in the ledger yet: %s; the run adds them when it continues\n", u)
	}
	fmt.Fprintf(&b, "\nok: %s, root %s, %s", words.Several(r.Account.Entries, "entry"), r.Account.Root, words.Several(len(r.Checkpoints), "checkpoint"))
	return b.String()
}
