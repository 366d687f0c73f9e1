package roster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// Who comes and goes again and again costs the others a generation each time, and more
// than it gives. So a worker that was a member and was lost waits before it is one
// again: not the first time, and then twice as long each time. What counts is that it
// was lost by what others saw of it. A process that its parent saw end is another
// matter, and whoever starts processes waits between starts.

// past is what is remembered of the members that were lost, by worker ID.
type past struct {
	host        string
	incarnation string // the newest that was lost
	pid         int
	left        int       // how often, as far as it is not forgotten
	until       time.Time // when it may be a member again
}

// firstWait is how long a worker waits that was lost a second time.
func (r *Roster) firstWait() time.Duration { return 5 * r.cfg.FailureTimeout }

// longestWait is the most that any worker waits.
const longestWait = 5 * time.Minute

// forgiven is for how long a worker has to be a member for one loss to be forgotten.
func (r *Roster) forgiven() time.Duration { return 30 * r.cfg.FailureTimeout }

// recordLost remembers a member that the plan of now goes on without.
func (r *Roster) recordLost(now time.Time, w *worker) {
	p := r.pasts[w.reg.ID]
	if p == nil {
		p = &past{}
		r.pasts[w.reg.ID] = p
	}
	if stable := now.Sub(w.joined); stable > 0 {
		p.left = max(0, p.left-int(stable/r.forgiven()))
	}
	p.left++
	p.host, p.incarnation, p.pid = w.reg.Host, w.reg.Incarnation, w.reg.PID
	p.until = now
	if p.left > 1 {
		p.until = now.Add(min(longestWait, r.firstWait()<<min(p.left-2, 20)))
	}
}

// inherit lets what is remembered of a worker that is not there any more count for one
// of its host that comes under a new name, which may be the same.
func (r *Roster) inherit(reg wire.Registration) {
	if r.pasts[reg.ID] != nil {
		return
	}
	from := ""
	for _, id := range slices.Sorted(maps.Keys(r.pasts)) {
		if p := r.pasts[id]; p.host == reg.Host && !r.present(id) && (from == "" || p.left > r.pasts[from].left) {
			from = id
		}
	}
	if from != "" {
		r.pasts[reg.ID] = r.pasts[from]
		delete(r.pasts, from)
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

// excuse takes back that a worker was lost: its parent says that the process ended,
// which was not known when others missed it.
func (r *Roster) excuse(s wire.Suspicion) {
	p := r.pasts[s.Subject]
	if p == nil || p.incarnation != s.Incarnation && (s.PID == 0 || p.pid != s.PID) {
		return
	}
	p.left, p.until, p.incarnation, p.pid = max(0, p.left-1), time.Time{}, "", 0
}

// recurs says why a worker that comes and goes has to wait, "" where it does not.
func (r *Roster) recurs(now time.Time, w *worker) string {
	p := r.pasts[w.reg.ID]
	if p == nil || !p.until.After(now) {
		return ""
	}
	return fmt.Sprintf("left %d times; admitted again in %s", p.left, rounded(p.until.Sub(now)))
}

// rounded is a time for people: to whole seconds, and never to nothing.
func rounded(d time.Duration) time.Duration { return max(time.Second, d.Round(time.Second)) }
