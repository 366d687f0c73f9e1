package roster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// onRegistered takes the current registrations.
func (r *Roster) onRegistered(now time.Time, all []wire.Registration) {
	r.registrationsKnown = true
	for _, reg := range all {
		r.learnNumerics(reg)
	}
	present := map[string]bool{}
	for _, reg := range all {
		present[reg.Incarnation] = true
		w := r.workers[reg.Incarnation]
		if w == nil {
			w = &worker{}
			r.workers[reg.Incarnation] = w
			r.inheritLosses(reg)
		}
		if !w.registered {
			r.lastArrival = now
			if w.gone != "" && r.rank(reg.Incarnation) < 0 {
				r.emit(Evict{reg.ID, reg.Incarnation}) // a plan left it out while it was away: let it register again
			}
		}
		w.reg, w.registered = reg, true
		if d, ok := r.endedProcesses[reg.ID]; ok && d.pid == reg.PID && now.Sub(d.at) < 10*r.cfg.FailureTimeout {
			r.declareDead(w, wire.EvidenceSeenDead, true)
		}
		if w.refusal == "" && w.gone == "" {
			r.checkAdmissible(w)
		}
	}
	for _, w := range r.sorted() {
		in := w.reg.Incarnation
		if present[in] {
			continue
		}
		if w.registered {
			w.registered, w.unregisteredAt = false, now
		}
		if r.rank(in) < 0 && w.gone == "" && now.Sub(w.lastHeartbeat) > r.unregisteredKept() {
			delete(r.workers, in)
		}
	}
}

// learnNumerics takes the numerics of the run from the newest state that a worker brings,
// for a run whose plan does not name them. So a run that continues from a checkpoint
// keeps its numerics.
func (r *Roster) learnNumerics(reg wire.Registration) {
	if reg.SpecHash != r.cfg.SpecHash || reg.Origin.Fingerprint == "" {
		return
	}
	if r.origin.Fingerprint == "" || reg.Step > r.originStep {
		r.origin, r.originStep = reg.Origin, reg.Step
	}
}

// numerics is the fingerprint of the run; "": it has none yet.
func (r *Roster) numerics() string { return cmp.Or(r.plan.Fingerprint, r.origin.Fingerprint) }

// checkAdmissible refuses a worker that cannot take part.
func (r *Roster) checkAdmissible(w *worker) {
	reg, fingerprint := w.reg, r.numerics()
	short := func(s string) string { return fmt.Sprintf("%.12q", s) }
	switch {
	case reg.SpecHash != r.cfg.SpecHash:
		w.refusal = "it was started with another spec of the run: start it again"
	case reg.CorpusHash != r.cfg.CorpusHash:
		w.refusal = fmt.Sprintf("its corpus is %s, the run's is %s", short(reg.CorpusHash), short(r.cfg.CorpusHash))
	case reg.Build != r.cfg.Build:
		w.refusal = fmt.Sprintf("it is build %q, the run is trained by %q", reg.Build, r.cfg.Build)
	case fingerprint != "" && reg.Fingerprint != fingerprint && !r.cfg.AllowMixed:
		w.refusal = r.otherArithmetic(reg, fingerprint) + ": the result would not be reproducible (--mixed admits it)"
	default:
		return
	}
	r.emit(Record{wire.Event{
		Key: key(wire.EventRefused, reg.Incarnation, 0), Kind: wire.EventRefused,
		Reason: fmt.Sprintf("worker %s on %s is refused: %s", reg.ID, reg.Host, w.refusal),
	}})
}

// otherArithmetic says why a worker does not compute the same bits as the run.
func (r *Roster) otherArithmetic(reg wire.Registration, fingerprint string) string {
	switch {
	case r.cfg.Device != "" && reg.Device != "" && reg.Device != r.cfg.Device:
		return fmt.Sprintf("device %s, the run has %s", reg.Device, r.cfg.Device)
	case r.cfg.Threads > 0 && reg.Threads > 0 && reg.Threads != r.cfg.Threads:
		return fmt.Sprintf("threads %d, the run has %d", reg.Threads, r.cfg.Threads)
	}
	return fmt.Sprintf("its arithmetic gives %.12q, the run's gives %.12q, by another kind of processor, build or libtorch", reg.Fingerprint, fingerprint)
}

func (r *Roster) onBeat(now time.Time, b wire.Beat) {
	if b.Deaf {
		r.onDeaf(now, b)
		return
	}
	if !r.lastHeartbeat.IsZero() && now.Sub(r.lastHeartbeat) > r.cfg.FailureTimeout/2 {
		r.resetTimers(now) // no worker was heard for a while: the others may only be late
	}
	r.lastHeartbeat = now
	w := r.workers[b.Incarnation]
	if w == nil { // its registration has yet to come
		w = &worker{reg: wire.Registration{ID: b.ID, Incarnation: b.Incarnation}, unregisteredAt: now}
		r.workers[b.Incarnation] = w
	}
	if w.gone != "" {
		if w.final || r.pending != nil || r.rank(b.Incarnation) < 0 {
			return
		}
		w.gone = "" // no plan left it out: it was only away for a while
	}
	w.lastHeartbeat, w.beat, w.reconnecting, w.deafSince = now, b, false, time.Time{}
	if r.rank(b.Incarnation) >= 0 && b.Generation >= r.plan.Generation {
		if b.Tokens > 0 {
			r.pace.applied(now, b.Step, b.Tokens, float64(b.Reducing))
		}
		w.confirmed = true
		r.recordLineage(b.Lineage)
		if b.Diverged { // the members stop by themselves; the intent says why
			r.stop(b.Warning)
		}
	}
}

// onDeaf takes the heartbeat of a worker that receives nothing. It counts as silence: the
// others cannot reach such a worker, and it is not admitted.
func (r *Roster) onDeaf(now time.Time, b wire.Beat) {
	if w := r.workers[b.Incarnation]; w != nil && w.deafSince.IsZero() {
		w.deafSince = now
	}
}

// leaving reports whether a worker is asked to leave.
func (r *Roster) leaving(w *worker) bool {
	return w.reg.Draining || slices.Contains(r.intent.Drain, w.reg.Incarnation)
}

// newcomers are the workers that could be admitted now, by ID: registered, not refused,
// heard of and no members. Where enough members stay to go on without them, newcomers have
// to see the current plan first, and to catch up with its members.
func (r *Roster) newcomers(now time.Time, staying int) []*worker {
	alone := r.finished || r.intent.Stop || staying == 0 || staying < r.cfg.Workers.Min
	unready := func(w *worker) bool {
		return !alone && (w.beat.State == wire.WorkerFollowing || w.beat.Generation < r.plan.Generation)
	}
	var all []*worker
	for _, w := range r.workers {
		if r.rank(w.reg.Incarnation) >= 0 {
			continue
		}
		if !w.registered || w.refusal != "" || w.gone != "" || r.leaving(w) || w.lastHeartbeat.IsZero() || !w.deafSince.IsZero() || now.Sub(w.lastHeartbeat) > r.patience(w) || unready(w) {
			w.readySince, w.waitReason = time.Time{}, ""
			continue
		}
		if w.waitReason = ""; !alone {
			w.waitReason = cmp.Or(r.readmissionWait(now, w), r.slowLinkWait(now, w))
		}
		if w.waitReason != "" {
			w.readySince = time.Time{}
			continue
		}
		if w.readySince.IsZero() {
			w.readySince = now
		}
		all = append(all, w)
	}
	slices.SortFunc(all, byName)
	return all
}

// decideFingerprint chooses the numerics of the run for its first plan: those of the state
// that it continues, else those of most workers, and in a tie those of the first by ID. It
// returns the fingerprint and the workers that have it, or all where mixing is allowed.
func (r *Roster) decideFingerprint(pool []*worker) (string, []*worker) {
	fingerprint := r.numerics()
	if fingerprint == "" {
		votes := map[string]int{}
		for _, w := range pool {
			votes[w.reg.Fingerprint]++
		}
		for _, w := range pool {
			if fingerprint == "" || votes[w.reg.Fingerprint] > votes[fingerprint] {
				fingerprint = w.reg.Fingerprint
			}
		}
	}
	if r.cfg.AllowMixed {
		return fingerprint, pool
	}
	return fingerprint, slices.DeleteFunc(slices.Clone(pool), func(w *worker) bool { return w.reg.Fingerprint != fingerprint })
}
