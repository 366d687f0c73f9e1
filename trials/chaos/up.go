package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rundir"
)

// goneWithin bounds how long processes may outlive what they depend on.
const goneWithin = 5 * time.Second

// supervised is a run under `gramme up`, which is started again and again with the
// same command.
type supervised struct {
	dir     rundir.Dir
	gramme  string // the program
	args    []string
	env     []string // beside that of this process
	log     string
	token   string // marks its processes
	starter *process.Starter
	proc    *process.Process // replaced by every start
}

// start starts `gramme up`.
func (c *supervised) start() error {
	p, err := c.starter.Start(process.Command{
		Name: "gramme up", Path: c.gramme, Args: c.args, Env: append([]string{mark + "=" + c.token}, c.env...), Log: c.log,
	})
	if err != nil {
		return err
	}
	c.proc = p
	return nil
}

func (c *supervised) ended() bool {
	select {
	case <-c.proc.Ended():
		return true
	default:
		return false
	}
}

// wait waits for the end of `gramme up`, for as long as within if that is not 0.
func (c *supervised) wait(ctx context.Context, within time.Duration) error {
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, fmt.Errorf("gramme up does not end within %s", within))
		defer cancel()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.proc.Ended():
		return nil
	}
}

// failure is why `gramme up` ended otherwise than with exit code 0.
func (c *supervised) failure() error {
	err := c.proc.Err()
	if err == nil {
		return nil
	}
	if words := process.LastWords(c.log, 6); words != "" {
		err = fmt.Errorf("%w; its last words:\n%s", err, words)
	}
	return err
}

// close ends whatever is left and removes what a killed cluster leaves behind.
func (c *supervised) close() error {
	var err error
	if c.starter != nil {
		err = killMarked(c.token, goneWithin)
		c.starter.Close()
	}
	return errors.Join(err, c.dir.ClearSockets(), os.RemoveAll(c.dir.Cluster()))
}

// kill ends `gramme up` at once, alone or with all that it started, and waits
// until all are gone: its children do not outlive it.
func (c *supervised) kill(all bool) error {
	pids := []int{c.proc.PID}
	if all {
		pids = append(pids, marked(c.token)...)
	}
	for _, pid := range pids {
		if err := signal(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	<-c.proc.Ended()
	if left := outlasting(c.token, goneWithin); len(left) > 0 {
		return fmt.Errorf("processes %v outlive gramme up by %s", left, goneWithin)
	}
	return nil
}

// interrupt ends `gramme up` in order.
func (c *supervised) interrupt(ctx context.Context, patience time.Duration) error {
	if err := c.proc.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if err := c.wait(ctx, patience); err != nil {
		return fmt.Errorf("after SIGINT: %w", err)
	}
	if err := c.failure(); err != nil {
		return fmt.Errorf("after SIGINT: %w", err)
	}
	if left := marked(c.token); len(left) > 0 {
		return fmt.Errorf("after SIGINT: processes %v are left", left)
	}
	return nil
}
