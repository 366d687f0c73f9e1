package slowlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	largest = 1<<16 + 64 // bytes of a packet, with what stands before it
	onWay   = 1 << 14    // packets under way in one direction; more are dropped
	// Above this rate packets are passed on by the segment: a processor that has
	// others to serve does not keep up otherwise.
	fast = 4e8
)

// Link is one between two hosts.
type Link struct {
	devices [2]device
	paths   [2]*path
}

// New makes the network devices of two hosts. Both directions are as cfg says. Close
// removes them, unless Run has.
func New(cfg Config, a, b Host) (*Link, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	offload := cfg.Rate >= fast && cfg.Loss == 0
	l := &Link{paths: [2]*path{newPath(cfg, 1), newPath(cfg, 2)}}
	for i, ends := range [2][2]Host{{a, b}, {b, a}} {
		d, err := openDevice(fmt.Sprintf("slow%d", i), ends[0], ends[1], offload)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.devices[i] = d
	}
	return l, nil
}

// Close removes the devices.
func (l *Link) Close() error {
	var err error
	for _, d := range l.devices {
		if d.File != nil {
			err = errors.Join(err, d.Close())
		}
	}
	return err
}

// Run passes packets on until ctx ends, then removes the devices.
func (l *Link) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var work sync.WaitGroup
	failures := make([]error, 2)
	for i := range l.devices {
		work.Go(func() { failures[i] = l.forward(ctx, l.devices[i], l.devices[1-i], l.paths[i]) })
	}
	work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(failures...)
}

// packet is one under way.
type packet struct {
	at   time.Time
	data []byte
}

func (l *Link) forward(ctx context.Context, from, to device, p *path) error {
	under := make(chan packet, onWay)
	var work sync.WaitGroup
	defer work.Wait()
	defer close(under)
	work.Go(func() { deliver(ctx, to, under) })
	buffer := make([]byte, largest)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return fmt.Errorf("read a packet: %w", err)
		}
		at, ok := p.send(time.Now(), n)
		if !ok {
			continue
		}
		select {
		case under <- packet{at, append([]byte(nil), buffer[:n]...)}:
		default: // as a queue that is full
		}
	}
}

// deliver writes packets when it is time. A host takes them or does not, as with any
// network.
func deliver(ctx context.Context, to device, under <-chan packet) {
	for p := range under {
		if wait := time.Until(p.at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		_, _ = to.Write(p.data)
	}
}
