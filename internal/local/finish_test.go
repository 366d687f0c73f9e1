package local

import (
	"context"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestServiceDiesAtTheEnd kills a service when the training is over, and just
// before: the run ends as if nothing had been.
func TestServiceDiesAtTheEnd(t *testing.T) {
	for _, id := range []string{wire.RoleCoordinator, wire.RoleCheckpoint} {
		for _, when := range []string{"with the last worker", "meanwhile"} {
			t.Run(id+" "+when, func(t *testing.T) {
				t.Parallel()
				x := newTrial(t)
				last := 0
				x.options.Last = func(context.Context, []string) error {
					last++
					if when == "meanwhile" {
						x.killed(id)
						x.until(id+" is started again", func() bool { return len(x.pids(id)) == 2 })
					}
					return nil
				}
				x.begin()
				x.status(wire.Status{State: wire.StateDone, Step: 3})
				if when != "meanwhile" {
					x.killed(id)
				}
				x.stored()
				if err := x.end(); err != nil {
					t.Error(err)
				}
				if last != 1 || len(x.pids(id)) != 2 {
					t.Errorf("%d last calls; starts of the service: %v", last, x.pids(id))
				}
				if !strings.Contains(x.read("readings"), `"worker":"up"`) {
					t.Errorf("no readings of this process came: %s", x.read("readings"))
				}
			})
		}
	}
}
