package meter

import (
	"errors"

	"github.com/gramme-project/gramme/energy"
)

// Source is a counter that can be read.
type Source interface {
	Describe() Description
	// Read returns the counter. It is called by one goroutine at a time.
	Read() (uint64, error)
	Close() error
}

// Description is what a Source counts. It does not change.
type Description struct {
	Meter  string // name, unique on a host for a counter of the host: "rapl:package-0"
	Kind   string // of device: cpu, memory, gpu, platform
	Method energy.Method
	Scope  energy.Scope
	Unit   string // of the raw numbers
	Range  uint64 // the counter wraps to 0 after this; 0: it does not wrap
	Num    uint64 // one raw unit is Num/Den µJ
	Den    uint64
	// MaxWatts is more than the device can draw; 0 is unknown. It bounds the differences
	// that are believed and the time in which no wrap can be missed.
	MaxWatts float64
	Covers   []string // kinds of device whose estimates this counter replaces
	// ProcessorTime says that the raw numbers are the processor time of this process,
	// which is 0 at its birth and by which a reading is divided.
	ProcessorTime bool
	// Absent is why there is nothing to read: the device is used, but no meter of it is
	// known here. It is a gap for as long as the process lives.
	Absent string
}

// Absent returns the source of a device of this process that cannot be metered.
func Absent(kind, reason string) Source { return absent{kind, reason} }

type absent struct{ kind, reason string }

func (a absent) Describe() Description {
	return Description{Meter: a.kind, Kind: a.kind, Scope: energy.Process, Absent: a.reason}
}
func (a absent) Read() (uint64, error) { return 0, errors.New(a.reason) }
func (a absent) Close() error          { return nil }
