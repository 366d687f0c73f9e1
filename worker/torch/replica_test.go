//go:build cgo

package torch_test

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/devicecheck"
	"github.com/gramme-project/gramme/worker/torch"
)

// device is a replica of tensors, with its gradient. GRAMME_TEST_DEVICE says where: cuda, or by
// default the CPU.
type device struct {
	*torch.Replica
	gradient *ts.Tensor
}

func (d device) SetGradient(g []float32) error {
	host, err := ts.OfSlice(g)
	if err != nil {
		return err
	}
	return errors.Join(torch.Copy(d.gradient, host), host.Drop())
}

// Rounding, sum, norm and update of a replica of tensors are those of plain Go.
func TestReplicaAgreesWithGo(t *testing.T) {
	runtime.LockOSThread()
	where := gotch.CPU
	if os.Getenv("GRAMME_TEST_DEVICE") == "cuda" {
		if err := torch.LoadCUDA(); err != nil {
			t.Fatal(err)
		}
		where = gotch.CudaBuilder(0)
	}
	for seed := range uint64(24) {
		var free []func() error
		err := devicecheck.Run(seed, func(r replica.Rule) (devicecheck.Device, error) {
			var flat [2]*ts.Tensor
			for i := range flat {
				var err error
				if flat[i], err = ts.Zeros([]int64{int64(r.Layout.Total)}, gotch.Float, where); err != nil {
					return nil, err
				}
				free = append(free, flat[i].Drop)
			}
			x, err := torch.NewReplica(r, flat[0], flat[1])
			if err != nil {
				return nil, err
			}
			free = append(free, func() error { x.Close(); return nil })
			return device{x, flat[1]}, nil
		})
		if err != nil {
			t.Error(err)
		}
		for _, f := range slices.Backward(free) {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
	}
}
