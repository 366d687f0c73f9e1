package coordinator

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/buildinfo"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/runspec"
)

// Config is what a coordinator needs. All fields are required unless stated.
type Config struct {
	ID, Host  string
	PID       int
	Spec      runspec.Spec
	CorpusDir string // a prepared folder
	Store     membership.Store
	Bus       bus.Conn
	Log       *zap.Logger
	Software  string // optional; for the log
	// Meter tells what this process has used; optional.
	Meter func() (joules, watts float64)
}

func (c Config) validate() error {
	if c.ID == "" || c.CorpusDir == "" || c.Store == nil || c.Bus == nil || c.Log == nil {
		return errors.New("coordinator: incomplete configuration")
	}
	if err := c.Spec.Complete(); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	return nil
}

// ttl is how long the others wait for a leader that vanished.
func (c Config) ttl() time.Duration {
	return max(2*time.Second, 3*c.Spec.FailureTimeout).Round(time.Second)
}

func rosterConfig(s runspec.Spec, corpusHash string) roster.Config {
	return roster.Config{
		Workers: s.Workers, MicroBatches: s.Batch.MicroBatches, Steps: s.Steps,
		SpecHash: s.Hash(), CorpusHash: corpusHash, Build: buildinfo.Version,
		Ring: s.Ring, AllowMixed: s.AllowMixed, KeepSlow: s.KeepSlow, FailureTimeout: s.FailureTimeout,
		Threads: s.Threads, Device: s.Device,
	}
}
