// Package partition cuts processes of one machine off from each other, without privileges
// over its network: they connect through a SOCKS5 proxy on unix sockets, one for each
// process, by which the proxy tells them apart.
//
// It guarantees that a connection that is cut stays open and loses no byte. As behind a
// network that drops packets, a process that waits for data waits until the cut is healed,
// or gives up; a process that connects meanwhile waits, too. Connections that do not go
// through the proxy, and unix sockets, are not affected.
package partition

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
)

// Cut says who is cut off from all others.
type Cut struct {
	PID     int    // of the process
	Address string // where others connect to it: host and port
	To      bool   // nothing comes to it
	From    bool   // nothing comes from it
}

// Proxy is a running one.
type Proxy struct {
	listener net.Listener
	work     sync.WaitGroup
	ctx      context.Context
	cancel   context.CancelFunc

	mu   sync.Mutex
	cuts []*cut
}

// cut is one that is under way.
type cut struct {
	Cut
	healed chan struct{}
}

// Listen starts a proxy on a unix socket. Close ends it.
func Listen(path string) (*Proxy, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for connections to cut: %w", err)
	}
	p := &Proxy{listener: l}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p, nil
}

// Close ends all connections.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.work.Wait()
	return err
}

// Cut cuts a process off until heal is called.
func (p *Proxy) Cut(c Cut) (heal func()) {
	now := &cut{c, make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, now)
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cuts = slices.DeleteFunc(p.cuts, func(o *cut) bool { return o == now })
		close(now.healed)
	})
}

// flow is one direction of a connection: who sends, and who receives, each known
// by its process or its address.
type flow struct {
	from, to end
}

type end struct {
	pid     int
	address string
}

// is tells whether a cut is of this end.
func (e end) is(c Cut) bool {
	return e.pid != 0 && e.pid == c.PID || e.address != "" && e.address == c.Address
}

// pass returns once nothing cuts any of some directions, or with an error when the
// proxy ends.
func (p *Proxy) pass(flows ...flow) error {
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.cuts, func(c *cut) bool {
			return slices.ContainsFunc(flows, func(f flow) bool { return c.From && f.from.is(c.Cut) || c.To && f.to.is(c.Cut) })
		})
		var healed chan struct{}
		if i >= 0 {
			healed = p.cuts[i].healed
		}
		p.mu.Unlock()
		if healed == nil {
			return p.ctx.Err()
		}
		select {
		case <-healed:
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.work.Go(func() {
			defer c.Close()
			defer context.AfterFunc(p.ctx, func() { _ = c.Close() })()
			_ = p.serve(c.(*net.UnixConn)) // who asked sees that it is closed
		})
	}
}

// serve connects a client and copies both ways until both sides have ended.
func (p *Proxy) serve(c *net.UnixConn) error {
	pid, err := peer(c)
	if err != nil {
		return err
	}
	address, err := handshake(c)
	if err != nil {
		return err
	}
	out := flow{end{pid: pid}, end{address: address}}
	back := flow{out.to, out.from}
	if err := p.pass(out, back); err != nil { // a handshake goes both ways
		return err
	}
	var d net.Dialer
	target, err := d.DialContext(p.ctx, "tcp", address)
	if err != nil {
		return errors.Join(err, answer(c, refused))
	}
	defer target.Close()
	defer context.AfterFunc(p.ctx, func() { _ = target.Close() })()
	if err := answer(c, granted); err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(target.(*net.TCPConn), c, out) })
	both.Go(func() { p.copy(c, target, back) })
	both.Wait()
	return nil
}

// half is a connection that can be ended in one direction.
type half interface {
	io.Writer
	CloseWrite() error
}

// copy passes on what comes, its end included.
func (p *Proxy) copy(to half, from io.Reader, f flow) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if p.pass(f) != nil {
			break
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.CloseWrite() // it may be gone
}

// peer is the process at the other end of a unix socket.
func peer(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		who, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, os.NewSyscallError("SO_PEERCRED", err)
	}
	return int(who.Pid), nil
}
