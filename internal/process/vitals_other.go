//go:build unix && !linux

package process

import (
	"errors"
	"time"
)

// Vitals are how a process is that may not be able to say so itself.
type Vitals struct {
	State  byte
	Used   time.Duration
	Faults uint64
}

// VitalsOf is not known here.
func VitalsOf(int) (Vitals, error) { return Vitals{}, errors.ErrUnsupported }
