package worker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestARefusedWorkerEnds refuses workers of an own start until they end, but for one that
// is to stay and one that has trained: what it holds may be wanted.
func TestARefusedWorkerEnds(t *testing.T) {
	for _, c := range []struct {
		name           string
		stays, trained bool
	}{
		{"that was started by hand", false, false},
		{"that another process waits for", true, false},
		{"that has trained", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1_000_000)
				w := cl.startWith("a", func(uint64, *pureTrainer) {}, func(cfg *Config) { cfg.Stays = c.stays })
				in := cl.registered("a")
				if c.trained {
					cl.plan(1, "a")
					cl.reached("a", 1)
				}
				refusal := wire.Refusal{Incarnation: in, Reason: "threads 2, the run has 1"}
				refuse := func() {
					if err := bus.Publish(cl.conn, wire.SubjectsOf("test").Refused("a"), refusal); err != nil {
						t.Fatal(err)
					}
				}
				ended := func() error {
					for range 10 * time.Minute / (10 * time.Millisecond) {
						refuse()
						select {
						case err := <-w.ended:
							return err
						case <-time.After(10 * time.Millisecond):
						}
					}
					t.Fatal("it does not end")
					return nil
				}
				if !c.stays && !c.trained {
					if err := ended(); !errors.As(err, new(*RefusedError)) || err.Error() != "the run refuses this worker: threads 2, the run has 1" {
						t.Errorf("it ends with %v", err)
					}
					return
				}
				// It answers heartbeats with a refusal for longer than it takes the other.
				for end := time.Now().Add(2 * cl.spec.FailureTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					refuse()
				}
				select {
				case err := <-w.ended:
					t.Errorf("it ends: %v", err)
				default:
				}
			})
		})
	}
}
