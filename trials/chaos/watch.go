package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

const (
	// pollEvery is the pause between two questions to the coordinator, and so
	// about how precise a time of detection is.
	pollEvery = 5 * time.Millisecond
	// answerWithin bounds one question.
	answerWithin = 500 * time.Millisecond
)

// watch follows a run over all starts of `gramme up`.
type watch struct {
	dir rundir.Dir

	mu      sync.Mutex
	history history
	up      int
	hosts   map[string]bool // where NATS listened
	told    time.Time       // when a coordinator answered last
}

func newWatch(dir rundir.Dir) *watch {
	return &watch{dir: dir, hosts: map[string]bool{}}
}

// started tells that `gramme up` is about to be started, and returns how often it
// was.
func (w *watch) started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up++
	return w.up
}

func (w *watch) starts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up
}

// toldSince tells whether a coordinator has answered since.
func (w *watch) toldSince(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told.After(t)
}

// mailbox is the address to which the other workers connect to reach one of the
// ring.
func (w *watch) mailbox(ctx context.Context, id string) (host string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("mailbox of %s: %w", id, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 10*answerWithin)
	defer cancel()
	e, err := endpoint.ReadFile(w.dir.Endpoint())
	if err != nil {
		return "", err
	}
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return "", err
	}
	defer client.Close()
	plans, err := etcdstore.New(client, e.Run).WatchPlan(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range (<-plans).Members {
		if m.ID == id {
			u, err := url.Parse(m.Mailbox)
			if err != nil {
				return "", err
			}
			return u.Host, nil
		}
	}
	return "", errors.New("it is not in the ring")
}

// newest is the last that was seen of the present start, nothing if none was.
func (w *watch) newest() Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.history.newest(); s.Up == w.up {
		return s
	}
	return Seen{Up: w.up}
}

// since returns what was seen from a moment on, with the last before it.
func (w *watch) since(t time.Time) []Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.history.seen
	i := len(all)
	for i > 0 && !all[i-1].At.Before(t) {
		i--
	}
	return append([]Seen(nil), all[max(0, i-1):]...)
}

// run follows until ctx ends.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		if e, err := endpoint.ReadFile(w.dir.Endpoint()); err == nil {
			w.session(ctx, e)
		}
		waiting.Pause(ctx, 4*pollEvery)
	}
}

// session follows one start of `gramme up`.
func (w *watch) session(ctx context.Context, e endpoint.Endpoint) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialing, done := context.WithTimeout(ctx, answerWithin)
	defer done()
	conn, err := e.DialBus(dialing, "chaos")
	if err != nil {
		return // not there yet, or no more
	}
	defer conn.Close()
	w.mu.Lock()
	for _, text := range strings.Split(e.NATS, ",") {
		if u, err := url.Parse(text); err == nil {
			w.hosts[u.Host] = true
		}
	}
	w.mu.Unlock()
	subjects := wire.SubjectsOf(e.Run)
	stop, err := bus.Subscribe(conn, subjects.Beats(), func(m *bus.Message) {
		var b wire.Beat
		if wire.Decode(m.Data, &b) != nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.history.beat(time.Now(), b)
	})
	if err != nil {
		return
	}
	defer stop()
	for ctx.Err() == nil {
		up := w.starts() // services that others run outlive a start
		within, done := context.WithTimeout(ctx, answerWithin)
		s, err := bus.Request[wire.Status](within, conn, subjects.Status(), nil)
		done()
		if err == nil {
			w.answered(up, s)
		} else if now, err := endpoint.ReadFile(w.dir.Endpoint()); err != nil || now.Secret != e.Secret {
			break // another start
		}
		waiting.Pause(ctx, pollEvery)
	}
}

func (w *watch) answered(up int, s wire.Status) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history.status(seenOf(now, up, s))
	w.told = now
}
