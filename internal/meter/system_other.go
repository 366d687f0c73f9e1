//go:build !linux

package meter

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// Clocks and counters of other systems than Linux are not known.

func realSystem(string) (system, error) {
	return system{}, fmt.Errorf("meter energy on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func now() instant { return instant{} }

func lockFolder(string) (io.Closer, error) { return nil, errors.ErrUnsupported }

func newClaim(dir, bootID, meter, run string) claim { return noClaim{} }

type noClaim struct{}

func (noClaim) take() bool   { return false }
func (noClaim) theirs() bool { return false }
func (noClaim) release()     {}
