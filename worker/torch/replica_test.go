//go:build cgo

package torch_test

import (
	"runtime"
	"testing"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/devicecheck"
	"github.com/gramme-project/gramme/worker/torch"
)

// device is a replica of tensors on the CPU, with its gradient.
type device struct {
	*torch.Replica
	gradient []float32
}

func (d device) SetGradient(g []float32) error {
	copy(d.gradient, g)
	return nil
}

// Rounding, sum, norm and update of a replica of tensors are those of plain Go.
func TestReplicaAgreesWithGo(t *testing.T) {
	runtime.LockOSThread()
	for seed := range uint64(24) {
		var made []*ts.Tensor
		var replicas []*torch.Replica
		err := devicecheck.Run(seed, func(r replica.Rule) (devicecheck.Device, error) {
			for range 2 {
				flat, err := ts.Zeros([]int64{int64(r.Layout.Total)}, gotch.Float, gotch.CPU)
				if err != nil {
					return nil, err
				}
				made = append(made, flat)
			}
			gradient, err := torch.Floats(made[1])
			if err != nil {
				return nil, err
			}
			x, err := torch.NewReplica(r, made[0], made[1])
			if err == nil {
				replicas = append(replicas, x)
			}
			return device{x, gradient}, err
		})
		if err != nil {
			t.Error(err)
		}
		for _, x := range replicas {
			x.Close()
		}
		for _, m := range made {
			if err := m.Drop(); err != nil {
				t.Error(err)
			}
		}
	}
}
