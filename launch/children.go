package launch

import (
	"context"
	"runtime"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/wire"
)

// command is how a process of the run is started.
func (c *cluster) command(id string, role wire.Role) process.Command {
	command := process.Command{
		ID: id, Name: id, Path: c.Gramme.Path, Held: c.Gramme, Args: []string{string(role), "--run", string(c.Dir), "--id", id},
		Env: c.environ, Log: c.Dir.Log(id),
	}
	if role != wire.RoleWorker {
		return command
	}
	command.Name, command.Path, command.Held, command.Args[0] = string(role)+" "+id, c.Worker.Path, c.Worker, "run"
	if c.Host != "" {
		command.Args = append(command.Args, "--host", c.Host)
	}
	if c.Spec.Threads > 1 && c.Spec.Threads*c.Spec.Workers.Max > runtime.NumCPU() {
		// Where libtorch's own operations compute, libgomp's threads spin while they wait,
		// which takes the processor from the other workers: two of two threads on two
		// cores are 6 times slower.
		command.Env = append(command.Env[:len(command.Env):len(command.Env)], "OMP_WAIT_POLICY=passive")
	}
	return command
}

func (c *cluster) start(ctx context.Context, id string, role wire.Role) (*process.Process, error) {
	command := c.command(id, role)
	if _, replaced := command.Held.Executable(); replaced && !c.replaced {
		c.replaced = true
		c.say(command.Path + " was replaced; this run goes on with the program that it began with, the next with the new one")
	}
	p, err := c.starter.Start(command)
	if err != nil {
		c.Log.Warn("start", zap.String("process", command.Name), zap.Error(err))
		return nil, err
	}
	c.processes[id] = p
	c.Log.Info("started", zap.String("process", p.Name), zap.Int("pid", p.PID))
	if role == wire.RoleWorker { // which costs the run least
		if err := p.KillFirst(); err != nil {
			c.Log.Info("a worker is not preferred where memory runs out", zap.Error(err))
		}
	}
	go func() { // ends with the process, or with the run
		<-p.Ended()
		select {
		case c.ended <- p:
		case <-ctx.Done():
		}
	}()
	return p, nil
}

// killAll leaves no child behind.
func (c *cluster) killAll() {
	for _, p := range c.processes {
		if err := p.Kill(); err != nil {
			c.Log.Warn("kill", zap.Error(err))
		}
	}
	for _, p := range c.processes {
		<-p.Ended()
	}
}
