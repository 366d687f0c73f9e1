//go:build cgo

package main

import (
	"os"

	"github.com/gramme-project/gramme/internal/exit"
)

// hung returns the function that ends this process when a computation does not return:
// an orderly end would wait for it. Before that, abandon (which may be nil) stores the
// energy readings.
func hung(abandon func()) func(error) {
	return func(err error) {
		err = exit.Wrap(exit.Failure, "`gramme up` restarts it; if that happens often, check the device (dmesg, nvidia-smi); "+
			"if a micro-batch may take that long, give `gramme up` a longer --compute-timeout", err)
		code := tell(err)
		if abandon != nil {
			abandon()
		}
		os.Exit(code)
	}
}
