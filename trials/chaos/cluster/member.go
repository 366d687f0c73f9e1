package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/rng"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/launch/embedded"
)

// startWithin bounds the start of one member.
const startWithin = 30 * time.Second

// settings are what one member is started with.
type settings struct {
	Etcd  *embedded.EtcdMember `json:",omitempty"`
	NATS  *embedded.NATSMember `json:",omitempty"`
	Ready string               // file that is made when it serves
}

// Member is one process of a cluster. One goroutine at a time uses it.
type Member struct {
	Kind, Name, Address string
	settings            settings
	cluster             *Cluster
	process             *process.Process // nil before the first start
}

// PID is that of the newest process.
func (m *Member) PID() int { return m.process.PID }

func (m *Member) start() error {
	m.settings.Ready = m.cluster.file(m.Name + ".ready")
	if err := os.Remove(m.settings.Ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := json.Marshal(m.settings)
	if err != nil {
		return err
	}
	path := m.cluster.file(m.Name + ".json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	command := m.cluster.Command
	p, err := m.cluster.starter.Start(process.Command{
		Name: m.Name, Path: command[0], Args: append(append([]string{}, command[1:]...), path), Log: m.cluster.file(m.Name + ".log"),
	})
	if err == nil {
		m.process = p
	}
	return err
}

// await returns when the member serves.
func (m *Member) await(ctx context.Context) error {
	late := time.After(startWithin)
	for {
		if _, err := os.Stat(m.settings.Ready); err == nil {
			return nil
		}
		select {
		case <-m.process.Ended():
			return fmt.Errorf("%s ended: %s", m.Name, process.LastWords(m.process.Log, 5))
		case <-late:
			return fmt.Errorf("%s does not serve after %s: %s", m.Name, startWithin, process.LastWords(m.process.Log, 5))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the member at once, as a crash does, and waits for its end.
func (m *Member) Kill() error {
	if m.process == nil {
		return nil
	}
	err := m.process.Kill()
	if err == nil {
		<-m.process.Ended()
	}
	return err
}

// Away kills members and starts them again after a time, or when ctx ends. It
// returns when they serve.
func Away(ctx context.Context, members []*Member, hold time.Duration) error {
	var err error
	for _, m := range members { // all at once: what one of them says of another is not heard
		err = errors.Join(err, m.process.Kill())
	}
	for _, m := range members {
		err = errors.Join(err, m.Kill())
	}
	waiting.Pause(ctx, hold)
	return errors.Join(err, start(ctx, members))
}

// Serve is the life of one member, by the settings in a file.
func Serve(ctx context.Context, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read settings of a member: %w", err)
	}
	var s settings
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read settings of a member: %w", err)
	}
	switch {
	case s.Etcd != nil:
		if s.Etcd.Log, err = zap.NewProduction(); err != nil {
			return err
		}
		e, err := embedded.StartEtcdMember(ctx, *s.Etcd)
		if err != nil {
			return err
		}
		defer e.Close()
	case s.NATS != nil:
		n, err := embedded.StartNATSMember(*s.NATS)
		if err != nil {
			return err
		}
		defer n.Close()
	}
	if err := os.WriteFile(s.Ready, nil, 0o600); err != nil {
		return fmt.Errorf("say that a member serves: %w", err)
	}
	<-ctx.Done()
	return nil
}

// Ports that the system gives to no connection: a member that was killed finds its
// own free again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePorts finds addresses on which nothing listens.
func freePorts(host string, n int) (all []string, err error) {
	draw := rng.New(uint64(os.Getpid()), uint64(time.Now().UnixNano()))
	for tries := 0; len(all) < n; tries++ {
		address := net.JoinHostPort(host, strconv.Itoa(firstPort+draw.IntN(lastPort-firstPort)))
		l, err := net.Listen("tcp", address)
		if err != nil {
			if tries > 10*n {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			continue
		}
		defer l.Close() // all together: none is found twice
		all = append(all, address)
	}
	return all, nil
}
