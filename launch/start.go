package launch

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// newWorker is a worker of a name that no other has.
func (c *cluster) newWorker() *child {
	id := fmt.Sprintf("w%d", len(c.workers())+1)
	args := []string{"run", "--run", string(c.Dir), "--id", id}
	if c.Host != "" {
		args = append(args, "--host", c.Host)
	}
	ch := c.child(wire.RoleWorker, id, c.Worker, args...)
	if c.Spec.Threads > 1 && c.Spec.Threads*c.Spec.Workers.Max > runtime.NumCPU() {
		// libgomp's threads spin while they wait, which takes the processor from
		// the other workers: two of two threads on two cores are 6 times slower.
		ch.command.Env = append(slices.Clone(ch.command.Env), "OMP_WAIT_POLICY=passive")
	}
	return ch
}

func (c *cluster) workers() []*child {
	return slices.DeleteFunc(slices.Clone(c.children), func(ch *child) bool { return ch.role != wire.RoleWorker })
}

func (c *cluster) child(of wire.Role, id string, program *process.Program, args ...string) *child {
	name := string(of)
	if id != name { // services are called as their role
		name += " " + id
	}
	return &child{role: of, id: id, command: process.Command{
		Name: name, Path: program.Path, Held: program, Args: args, Env: c.environ, Log: c.Dir.Log(id),
	}}
}

func (c *cluster) start(ch *child) error {
	if ch.dismissed {
		return nil
	}
	if _, replaced := ch.command.Held.Executable(); replaced && !c.replaced {
		c.replaced = true
		c.say(ch.command.Path + " was replaced; this run goes on with the program that it began with, the next with the new one")
	}
	p, err := c.starter.Start(ch.command)
	if err != nil {
		return err
	}
	ch.proc, ch.started, ch.shown, ch.again, ch.useful = p, time.Now(), false, false, false
	c.Log.Info("started", zap.String("process", ch.command.Name), zap.Int("pid", p.PID))
	if ch.role == wire.RoleWorker { // which costs the run least
		if err := p.KillFirst(); err != nil {
			c.Log.Info("a worker is not preferred where memory runs out", zap.Error(err))
		}
	}
	go func() { // ends with the process, or with the cluster
		<-p.Ended()
		select {
		case c.ends <- ch:
		case <-c.role.Done():
		}
	}()
	return nil
}

// killAll leaves no child behind.
func (c *cluster) killAll() {
	for _, ch := range c.children {
		if ch.proc == nil {
			continue
		}
		if err := ch.proc.Kill(); err != nil {
			c.Log.Warn("kill", zap.Error(err))
		}
		<-ch.proc.Ended()
	}
}
