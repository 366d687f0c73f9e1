package slowlink

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/rng"
)

// Config says how bad one direction of a link is.
type Config struct {
	Delay  time.Duration // of every packet
	Jitter time.Duration // up to so much more, or less, evenly spread
	Loss   float64       // share of the packets that are dropped
	Rate   float64       // bits a second; 0: as many as come
	Queue  time.Duration // how long a packet may wait for its turn; one that would wait longer is dropped
	Seed   uint64
}

// Validate says what makes no link.
func (c Config) Validate() error {
	switch {
	case c.Delay < 0 || c.Jitter < 0 || c.Queue < 0:
		return fmt.Errorf("a link with a delay of %v, a jitter of %v and a queue of %v: none may be negative", c.Delay, c.Jitter, c.Queue)
	case c.Jitter > c.Delay:
		return fmt.Errorf("a jitter of %v with a delay of %v: packets would arrive before they are sent", c.Jitter, c.Delay)
	case c.Loss < 0 || c.Loss >= 1:
		return fmt.Errorf("a loss of %v: it is a share from 0 to less than 1", c.Loss)
	case c.Rate < 0:
		return fmt.Errorf("a rate of %v bits a second", c.Rate)
	case c.Rate > 0 && c.Queue == 0:
		return fmt.Errorf("a link with a rate needs a queue")
	}
	return nil
}

// path is one direction. It is a value without clock or network.
type path struct {
	cfg     Config
	draw    *rng.Source
	free    time.Time // when what was sent so far has left
	arrived time.Time // when the newest packet arrives
}

func newPath(cfg Config, stream uint64) *path {
	return &path{cfg: cfg, draw: rng.New(cfg.Seed, stream)}
}

// send says when a packet arrives that is sent now, or that it does not.
func (p *path) send(now time.Time, size int) (at time.Time, ok bool) {
	at = now
	if p.cfg.Rate > 0 {
		if p.free.Before(now) {
			p.free = now
		}
		if p.free.Sub(now) > p.cfg.Queue {
			return at, false
		}
		p.free = p.free.Add(time.Duration(float64(8*size) / p.cfg.Rate * float64(time.Second)))
		at = p.free
	}
	if p.cfg.Loss > 0 && p.draw.Float64() < p.cfg.Loss {
		return at, false
	}
	at = at.Add(p.cfg.Delay)
	if p.cfg.Jitter > 0 {
		at = at.Add(time.Duration((2*p.draw.Float64() - 1) * float64(p.cfg.Jitter)))
	}
	if at.Before(p.arrived) {
		at = p.arrived
	}
	p.arrived = at
	return at, true
}
