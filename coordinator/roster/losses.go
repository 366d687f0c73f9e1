package roster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// A worker that comes and goes again and again costs the others a generation each time,
// more than it gives. So a member that was lost waits before it is admitted again: not
// the first time, and then twice as long each time. Only losses that other processes noticed
// count. An end that the parent of the process reports does not: the supervisor itself waits
// between starts.

// lossRecord counts the losses of a worker that was a member.
type lossRecord struct {
	host        string
	incarnation string // the newest that was lost
	pid         int
	count       int       // of losses that are not forgotten yet
	until       time.Time // when it may be a member again
}

// firstWait is how long a worker waits after its second loss.
func (r *Roster) firstWait() time.Duration { return 5 * r.cfg.FailureTimeout }

// longestWait is the most that any worker waits.
const longestWait = 5 * time.Minute

// forgetAfter is for how long a worker has to be a member for one loss to be forgotten.
func (r *Roster) forgetAfter() time.Duration { return 30 * r.cfg.FailureTimeout }

// recordLoss remembers a member that the new plan leaves out.
func (r *Roster) recordLoss(now time.Time, w *worker) {
	l := r.losses[w.reg.ID]
	if l == nil {
		l = &lossRecord{}
		r.losses[w.reg.ID] = l
	}
	if stable := now.Sub(w.memberSince); stable > 0 {
		l.count = max(0, l.count-int(stable/r.forgetAfter()))
	}
	l.count++
	l.host, l.incarnation, l.pid = w.reg.Host, w.reg.Incarnation, w.reg.PID
	l.until = now
	if l.count > 1 {
		l.until = now.Add(min(longestWait, r.firstWait()<<min(l.count-2, 20)))
	}
}

// inheritLosses moves the record of a worker that is gone to a new worker of the same
// host, whose name may differ.
func (r *Roster) inheritLosses(reg wire.Registration) {
	if r.losses[reg.ID] != nil {
		return
	}
	from := ""
	for _, id := range slices.Sorted(maps.Keys(r.losses)) {
		if l := r.losses[id]; l.host == reg.Host && !r.present(id) && (from == "" || l.count > r.losses[from].count) {
			from = id
		}
	}
	if from != "" {
		r.losses[reg.ID] = r.losses[from]
		delete(r.losses, from)
	}
}

// present reports whether a worker of an ID is registered.
func (r *Roster) present(id string) bool {
	for _, w := range r.workers {
		if w.registered && w.reg.ID == id {
			return true
		}
	}
	return false
}

// excuseLoss takes a loss back when the parent of the process reports its end, which
// was not known when the others missed it.
func (r *Roster) excuseLoss(s wire.Suspicion) {
	l := r.losses[s.Subject]
	if l == nil || l.incarnation != s.Incarnation && (s.PID == 0 || l.pid != s.PID) {
		return
	}
	l.count, l.until, l.incarnation, l.pid = max(0, l.count-1), time.Time{}, "", 0
}

// readmissionWait returns why a worker that was lost several times has to wait; "": it need
// not.
func (r *Roster) readmissionWait(now time.Time, w *worker) string {
	l := r.losses[w.reg.ID]
	if l == nil || !l.until.After(now) {
		return ""
	}
	return fmt.Sprintf("left %d times; admitted again in %s", l.count, rounded(l.until.Sub(now)))
}

// rounded rounds a time for messages to whole seconds, at least one.
func rounded(d time.Duration) time.Duration { return max(time.Second, d.Round(time.Second)) }
