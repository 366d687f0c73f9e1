package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/cmd/internal/clusterflags"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
)

// answerWithin bounds one request: the coordinator that received it may be dead.
const answerWithin = 3 * time.Second

// target is the run that a command is about: the run of a folder, or one on other
// machines that flags name.
type target struct {
	dir     rundir.Dir
	cluster *clusterflags.Flags
	say     waiting.Say // reports waits
}

// endpoint returns how to reach the run, or an error where it is not up.
func (a target) endpoint() (endpoint.Endpoint, error) {
	if a.cluster.OnCommandLine() {
		run, err := a.cluster.Run(a.dir)
		if err != nil {
			return endpoint.Endpoint{}, err
		}
		return a.cluster.Endpoint(run)
	}
	e, err := endpoint.ReadFile(a.dir.Endpoint())
	if err != nil || !a.dir.Locked() {
		return e, exit.Wrap(exit.Usage, "`"+words.Command("gramme", "up", "--run", string(a.dir))+"` starts it", fmt.Errorf("the run at %s is not up", a.dir))
	}
	return e, nil
}

// askStatus asks the coordinator of a run for its status.
func (a target) askStatus(ctx context.Context, e endpoint.Endpoint) (s wire.Status, err error) {
	err = a.ask(ctx, e, statusWithin, absentFor, func(ctx context.Context, conn bus.Conn) error {
		s, err = bus.Request[wire.Status](ctx, conn, wire.SubjectsOf(e.Run).Status(), nil)
		return err
	})
	return s, err
}

// ask makes a request until a coordinator answers it, within a bound. It gives up sooner
// where for a while nobody listens.
func (a target) ask(ctx context.Context, e endpoint.Endpoint, bound, absentFor time.Duration, request func(context.Context, bus.Conn) error) error {
	return waiting.For(ctx, a.say, "the coordinator of run "+e.Run+" to answer", bound, func(ctx context.Context) error {
		conn, err := e.DialBus(ctx, "command")
		if err != nil {
			return err
		}
		defer conn.Close()
		begun := time.Now()
		return waiting.Retry(ctx, waiting.Every(50*time.Millisecond), func(ctx context.Context) (answered bool, err error) {
			within, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			err = request(within, conn)
			absent := !errors.Is(err, context.DeadlineExceeded) // nobody listens
			refused := (*bus.RefusedError)(nil)
			return err == nil || errors.As(err, &refused) || absent && time.Since(begun) > absentFor, err
		})
	})
}
