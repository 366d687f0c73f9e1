//go:build !linux

package meter

import (
	"errors"
	"fmt"
	"runtime"
)

// Clocks and counters of other systems than Linux are not known.

func realSystem(string) (system, error) {
	return system{}, fmt.Errorf("meter energy on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func now() instant { return instant{} }

func newCounterLock(dir, bootID, name string, h holder) counterLock { return noLock{} }

type noLock struct{}

func (noLock) tryLock() bool               { return false }
func (noLock) publish([]string, int64)     {}
func (noLock) otherHolder() (holder, bool) { return holder{}, false }
func (noLock) release()                    {}

type register struct{}

func newRegister(dir, bootID, run string) register { return register{} }

func (register) update(uint64, bool) map[string]int64 { return map[string]int64{} }
func (register) remove()                              {}
