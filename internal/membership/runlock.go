package membership

import (
	"context"
	"errors"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

var (
	// ErrLocked says that another process runs the run.
	ErrLocked = errors.New("another `gramme up` runs it")
	// ErrNoRun says that the store does not know the run.
	ErrNoRun = errors.New("there is no such run: is this the right cluster, and is the run still up?")
)

// Holder names the process that runs a run: one folder on one machine.
type Holder struct {
	Host    string `json:"host"`
	Machine string `json:"machine,omitempty"` // ID of the machine, where it has one
	Boot    string `json:"boot,omitempty"`    // ID of this start of its kernel
	Folder  string `json:"folder"`
	PID     int    `json:"pid"`
}

// Same reports whether both are one folder of one machine. Names of machines
// repeat: without an ID of its own, a machine is itself until it starts again.
func (h Holder) Same(o Holder) bool {
	return h.Host == o.Host && h.Folder == o.Folder && h.Machine == o.Machine && (h.Machine != "" || h.Boot != "" && h.Boot == o.Boot)
}

// SharedStore is the store of a run on services that others use, too.
type SharedStore interface {
	Store
	// LockRun takes the run; ErrLocked if another process that lives has it. A lock
	// of the same folder of the same machine is one that a dead process left, because
	// the caller holds the folder; another is waited for until it ends, or until it
	// is renewed: then its process lives. ttl is how long the lock outlives its
	// process, in whole seconds.
	LockRun(ctx context.Context, h Holder, ttl time.Duration) (RunLock, error)
	// Secret returns the secret of the run, for which the first caller offers a
	// value; ErrNoRun where there is no spec.
	Secret(ctx context.Context, offered string) (string, error)
}

// RunLock is the right to run a run on shared services. It guards the start: one
// process begins while another is there only where the store was away for longer
// than a lock outlives its process, and then Keep tells one of them.
type RunLock interface {
	// Keep takes the run again whenever the lock has ended, as it does when the
	// store is away for long. It returns nil when ctx ends, or ErrLocked.
	Keep(ctx context.Context) error
	// ReplaceSpec stores the spec of the run in place of the one that is stored.
	ReplaceSpec(ctx context.Context, spec []byte) error
	// Reset removes the intent, which an earlier start was asked for, and the
	// registrations of which gone says that their processes have ended. The
	// coordinator that leads, on whatever machine, loses its office: the next one
	// reads what is asked for now.
	Reset(ctx context.Context, gone func(wire.Registration) bool) error
	// Clean removes all that is stored of the run but the lock.
	Clean(ctx context.Context) error
	// Release gives the run up.
	Release(ctx context.Context) error
}
