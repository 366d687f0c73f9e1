//go:build cgo

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/worker/torch"
)

// cudaHint is for a GPU that cannot be used.
const cudaHint = "train with --device cpu, or check that nvidia-smi finds a GPU and that scripts/setup --cuda was run"

// deviceCommand looks for a device, so that a run without it ends before it reads its
// corpus.
func deviceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "device NAME",
		Short:  "check whether a device is present",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != runspec.DeviceCUDA {
				return nil
			}
			if err := torch.LoadCUDA(); err != nil {
				return exit.Wrap(exit.Resource, cudaHint, fmt.Errorf("device %s: %w", args[0], err))
			}
			return nil
		},
	}
}
