package coordinator

import (
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/coordinator/roster"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
)

// decode reads a message, or logs why it is malformed.
func (c *coordinator) decode(m *bus.Message, v any) bool {
	if err := wire.Decode(m.Data, v); err != nil {
		c.log.Warn("a message is dropped", zap.String("subject", m.Subject), zap.Error(err))
		return false
	}
	return true
}

func (c *coordinator) onBeat(m *bus.Message) {
	var b wire.Beat
	if !c.decode(m, &b) {
		return
	}
	c.sources.worker(time.Now(), b)
	if c.term == nil {
		return
	}
	c.feed(roster.Beat{Beat: b})
	c.refuse(b)
	if c.term != nil && c.term.roster.Plan().Rank(b.ID, b.Incarnation) >= 0 {
		c.throughput.applied(b)
	}
}

// refuse answers every heartbeat of a worker that cannot take part: an answer may get lost,
// and an earlier one may have come from another coordinator.
func (c *coordinator) refuse(b wire.Beat) {
	if c.term == nil {
		return
	}
	why := c.term.roster.Refused(b.Incarnation)
	if why == "" {
		return
	}
	refusal := wire.Refusal{Incarnation: b.Incarnation, Reason: why}
	if err := bus.Publish(c.cfg.Bus, c.subjects.Refused(b.ID), refusal); err != nil {
		c.log.Debug("tell a worker that it is refused", zap.String("worker", b.ID), zap.Error(err))
	}
}

func (c *coordinator) onProcess(m *bus.Message) {
	var b wire.ProcessBeat
	if !c.decode(m, &b) {
		return
	}
	if b.Role == wire.RoleWorker || processKey(b) == processKey(c.self()) {
		return // counted elsewhere, with more detail
	}
	c.sources.other(time.Now(), b)
}

func (c *coordinator) onCommitted(m *bus.Message) {
	var e wire.Committed
	if !c.decode(m, &e) {
		return
	}
	c.committed = max(c.committed, e.Step)
	c.feed(roster.Committed{Step: e.Step})
}

func (c *coordinator) onSuspect(m *bus.Message) {
	var s wire.Suspicion
	if c.decode(m, &s) {
		c.hangs.add(time.Now(), s)
		c.feed(roster.Suspected{Suspicion: s})
	}
}

func (c *coordinator) onControl(m *bus.Message) {
	r := c.term
	if r == nil || m.Reply == "" {
		return
	}
	var request wire.Control
	if err := wire.Decode(m.Data, &request); err != nil {
		respond(m, nil, err, c.log)
		return
	}
	c.feed(roster.Requested{Control: request, Token: r.request(m)})
}

// onStatus answers as soon as the state of the run is known.
func (c *coordinator) onStatus(m *bus.Message) {
	r := c.term
	if r == nil || m.Reply == "" {
		return
	}
	state, reason := r.roster.State()
	if state == "" {
		return
	}
	s := statusInput{
		run: c.cfg.Spec.Run, steps: c.cfg.Spec.Steps, state: state, reason: reason, plan: r.roster.Plan(),
		committed: r.roster.Committed(), workers: r.roster.Workers(), slowdowns: r.roster.Slowdowns(), throughput: c.throughput, sources: c.sources, hangs: c.hangs, self: c.self(),
	}
	respond(m, s.status(time.Now()), nil, c.log)
}

// self is the heartbeat of this coordinator, for the status.
func (c *coordinator) self() wire.ProcessBeat {
	b := wire.ProcessBeat{Role: wire.RoleCoordinator, ID: c.cfg.ID, PID: c.cfg.PID, Host: c.cfg.Host, State: wire.ProcessElected, Goroutines: runtime.NumGoroutine()}
	if c.cfg.Meter != nil {
		joules, watts := c.cfg.Meter()
		b.Joules, b.Watts = number.Float(joules), number.Float(watts)
	}
	return b
}
