//go:build cgo

package clustertest

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

// oddSizes are those of a model that libtorch's own operations compute everywhere, as they do
// for a GPU. So a gradient has the same bits on the processor and on the device "tensors".
var oddSizes = strings.NewReplacer("hidden_size: 32", "hidden_size: 36", "intermediate_size: 64", "intermediate_size: 70")

// TestReplicasOnADevice trains with replicas that are held as a GPU holds them, kills one, and
// starts another, which takes the state of the others. It ends with the weights and moments
// of one worker on the processor.
func TestReplicasOnADevice(t *testing.T) {
	t.Parallel()
	steps := calm(t).steps / 2
	undisturbed := newSite(t)
	undisturbed.write("config.yaml", oddSizes.Replace(config))
	undisturbed.must(undisturbed.up(text(steps), "1")...)

	s := newSite(t)
	s.write("config.yaml", oddSizes.Replace(config))
	r := s.start(s.command(s.up(text(steps), "1:2", "--device", "tensors")...))
	r.reaches(steps / 8)
	s.kill(s.pid("w1"))
	s.want(r.wait(), 0, fmt.Sprintf("done: %d steps", steps), "w1 is gone")
	if got, want := digestOf(t, s.run), digestOf(t, undisturbed.run); got != want {
		t.Errorf("ended with %v, on the processor with %v", got, want)
	}
	s.audit()
}

// TestWorkersOnTwoKindsOfDevice lets a worker on a device join one on the processor. Their
// gradients differ, their replicas do not.
func TestWorkersOnTwoKindsOfDevice(t *testing.T) {
	t.Parallel()
	s := newShared(newSite(t))
	r := s.on(s.up("1000000", "1", "--mixed")...)
	far := s.far("far", r.reaches(1).Run, nil, "--device", "tensors")
	s.until("the worker trains", patience, func() bool { return trains(s.status(), "far") })
	r.reaches(s.status().Step + 40) // they compare their states on the way
	r.signal(syscall.SIGINT)
	s.want(r.wait(), 0, "stopped at step ")
	s.want(far.wait(), 0)
	s.mixed()
}

// TestADeviceOfItsOwnIsRefused names the device where that is why a worker computes other bits.
func TestADeviceOfItsOwnIsRefused(t *testing.T) {
	t.Parallel()
	s := newShared(newSite(t))
	r := s.on(s.up("1000000", "1")...)
	far := s.far("far", r.reaches(1).Run, nil, "--device", "tensors")
	s.until("the worker is refused", patience, func() bool { return worker(s.status(), "far").State == wire.WorkerRefused })
	s.want(far.wait(), 2, "device tensors, the run has cpu")
	r.signal(syscall.SIGINT)
	s.want(r.wait(), 0, "stopped at step ")
}
