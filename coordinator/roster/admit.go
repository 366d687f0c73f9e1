package roster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// onRegistered compares the registrations with those before.
func (r *Roster) onRegistered(now time.Time, all []wire.Registration) {
	r.known = true
	for _, reg := range all {
		r.learn(reg)
	}
	present := map[string]bool{}
	for _, reg := range all {
		present[reg.Incarnation] = true
		w := r.workers[reg.Incarnation]
		if w == nil {
			w = &worker{}
			r.workers[reg.Incarnation] = w
			r.inherit(reg)
		}
		if !w.registered {
			r.came = now
			if w.gone != "" && r.rank(reg.Incarnation) < 0 {
				r.emit(Evict{reg.ID, reg.Incarnation}) // it was away when it was let go: let it join anew
			}
		}
		w.reg, w.registered = reg, true
		if d, ok := r.dead[reg.ID]; ok && d.pid == reg.PID && now.Sub(d.at) < 10*r.cfg.FailureTimeout {
			r.bury(w, wire.EvidenceSeenDead, true)
		}
		if w.refused == "" && w.gone == "" {
			r.check(w)
		}
	}
	for _, w := range r.sorted() {
		in := w.reg.Incarnation
		if present[in] {
			continue
		}
		if w.registered {
			w.registered, w.ended = false, now
		}
		if r.rank(in) < 0 && w.gone == "" && now.Sub(w.heard) > r.strange() {
			delete(r.workers, in)
		}
	}
}

// learn finds out by which arithmetic the run was computed so far, where no plan
// says it: the newest state that a worker brings does. So a run that goes on from a
// checkpoint is held to the numerics that it had.
func (r *Roster) learn(reg wire.Registration) {
	if reg.SpecHash != r.cfg.SpecHash || reg.Origin.Fingerprint == "" {
		return
	}
	if r.origin.Fingerprint == "" || reg.Step > r.originStep {
		r.origin, r.originStep = reg.Origin, reg.Step
	}
}

// numerics is the fingerprint of the run, "" while it has none.
func (r *Roster) numerics() string { return cmp.Or(r.plan.Fingerprint, r.origin.Fingerprint) }

// check refuses a worker that cannot take part.
func (r *Roster) check(w *worker) {
	reg, print := w.reg, r.numerics()
	short := func(s string) string { return fmt.Sprintf("%.12q", s) }
	switch {
	case reg.SpecHash != r.cfg.SpecHash:
		w.refused = "it was started with another spec of the run: start it again"
	case reg.CorpusHash != r.cfg.CorpusHash:
		w.refused = fmt.Sprintf("its corpus is %s, the run's is %s", short(reg.CorpusHash), short(r.cfg.CorpusHash))
	case reg.Build != r.cfg.Build:
		w.refused = fmt.Sprintf("it is build %q, the run is trained by %q", reg.Build, r.cfg.Build)
	case print != "" && reg.Fingerprint != print && !r.cfg.AllowMixed:
		w.refused = r.otherArithmetic(reg, print) + ": the result would not be reproducible (--mixed admits it)"
	default:
		return
	}
	r.emit(Note{wire.Event{
		Key: key(wire.EventRefused, reg.Incarnation, 0), Kind: wire.EventRefused,
		Reason: fmt.Sprintf("worker %s on %s is refused: %s", reg.ID, reg.Host, w.refused),
	}})
}

// otherArithmetic says in what a worker differs that does not compute the bits of the run.
func (r *Roster) otherArithmetic(reg wire.Registration, print string) string {
	switch {
	case r.cfg.Device != "" && reg.Device != "" && reg.Device != r.cfg.Device:
		return fmt.Sprintf("device %s, the run has %s", reg.Device, r.cfg.Device)
	case r.cfg.Threads > 0 && reg.Threads > 0 && reg.Threads != r.cfg.Threads:
		return fmt.Sprintf("threads %d, the run has %d", reg.Threads, r.cfg.Threads)
	}
	return fmt.Sprintf("its arithmetic gives %.12q, the run's gives %.12q, by another kind of processor or of libtorch", reg.Fingerprint, print)
}

// key names an event.
func key(kind wire.EventKind, of string, number uint64) string {
	return fmt.Sprintf("%s/%s/%d", kind, of, number)
}

func (r *Roster) onBeat(now time.Time, b wire.Beat) {
	if b.Deaf {
		r.onDeaf(now, b)
		return
	}
	if !r.beaten.IsZero() && now.Sub(r.beaten) > r.cfg.FailureTimeout/2 {
		r.restart(now) // nobody was heard: the others may only be late
	}
	r.beaten = now
	w := r.workers[b.Incarnation]
	if w == nil { // it registered a moment ago
		w = &worker{reg: wire.Registration{ID: b.ID, Incarnation: b.Incarnation}, ended: now}
		r.workers[b.Incarnation] = w
	}
	if w.gone != "" {
		if w.final || r.pending != nil || r.rank(b.Incarnation) < 0 {
			return
		}
		w.gone = "" // no plan went on without it: it was away for a while
	}
	w.heard, w.beat, w.awaited, w.deaf = now, b, false, time.Time{}
	if r.rank(b.Incarnation) >= 0 && b.Generation >= r.plan.Generation {
		if b.Tokens > 0 {
			r.tempo.applied(now, b.Step, b.Tokens, float64(b.Reducing))
		}
		w.confirmed = true
		r.began(b.Lineage)
		if b.Diverged { // the members stop by themselves, and the run is to know why
			r.stop(b.Warning)
		}
	}
}

// onDeaf notes a heartbeat of a worker that hears nothing. Such a worker is not there
// for the others, and is no newcomer: that counts as silence.
func (r *Roster) onDeaf(now time.Time, b wire.Beat) {
	if w := r.workers[b.Incarnation]; w != nil && w.deaf.IsZero() {
		w.deaf = now
	}
}

// leaving reports whether a worker is asked to leave.
func (r *Roster) leaving(w *worker) bool {
	return w.reg.Draining || slices.Contains(r.intent.Drain, w.reg.Incarnation)
}

// newcomers are the workers that could be admitted now, by ID: registered, fit,
// heard of and no members. Where enough stay to go on without them, they have first
// to see what plan there is and to come to its members' state.
func (r *Roster) newcomers(now time.Time, staying int) []*worker {
	alone := r.over || r.intent.Stop || staying == 0 || staying < r.cfg.Workers.Min
	unready := func(w *worker) bool {
		return !alone && (w.beat.State == wire.WorkerFollowing || w.beat.Generation < r.plan.Generation)
	}
	var all []*worker
	for _, w := range r.workers {
		if r.rank(w.reg.Incarnation) >= 0 {
			continue
		}
		if !w.registered || w.refused != "" || w.gone != "" || r.leaving(w) || w.heard.IsZero() || !w.deaf.IsZero() || now.Sub(w.heard) > r.patience(w) || unready(w) {
			w.ready, w.waits = time.Time{}, ""
			continue
		}
		if w.waits = ""; !alone {
			w.waits = cmp.Or(r.recurs(now, w), r.slows(now, w))
		}
		if w.waits != "" {
			w.ready = time.Time{}
			continue
		}
		if w.ready.IsZero() {
			w.ready = now
		}
		all = append(all, w)
	}
	slices.SortFunc(all, byName)
	return all
}

// settleFingerprint chooses the numerics of the run at its very first plan: those
// of the state that it goes on from, else those of most workers, and of the first
// by ID where as many differ. The others are refused unless mixing is allowed. It returns the fingerprint and who remains.
func (r *Roster) settleFingerprint(pool []*worker) (string, []*worker) {
	print := r.numerics()
	if print == "" {
		votes := map[string]int{}
		for _, w := range pool {
			votes[w.reg.Fingerprint]++
		}
		for _, w := range pool {
			if print == "" || votes[w.reg.Fingerprint] > votes[print] {
				print = w.reg.Fingerprint
			}
		}
	}
	if r.cfg.AllowMixed {
		return print, pool
	}
	return print, slices.DeleteFunc(slices.Clone(pool), func(w *worker) bool { return w.reg.Fingerprint != print })
}
