package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/cgroup"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/wire"
)

// world is a machine with a supervisor, whose effects it carries out at once.
type world struct {
	cfg    Config
	s      *Supervisor
	now    time.Time
	said   []string
	pids   int
	procs  map[string]int // process of each ID that runs
	vitals map[string]Vitals
	status *wire.Status // that a coordinator answers
	// members are the workers that the status shows, by state and rank.
	members map[string]member
	refusal error            // why the coordinator does not accept a stop
	broken  map[string]error // why processes cannot be started
	limits  cgroup.Limits
	job     Job               // that goes on
	repeats map[string]string // what was said of each kind
	over    bool
	err     error
	see     func(Effect) // of a test that looks at each effect
}

type member struct {
	state wire.ProcessState
	rank  int
}

var epoch = time.Unix(1000, 0)

func newWorld(cfg Config) *world {
	cfg.Log = func(id string) string { return "logs/" + id + ".log" }
	if cfg.FailureTimeout == 0 {
		cfg.FailureTimeout = time.Second
	}
	return &world{
		cfg: cfg, s: New(cfg), now: epoch, procs: map[string]int{}, vitals: map[string]Vitals{}, members: map[string]member{}, broken: map[string]error{}, repeats: map[string]string{},
		see: func(Effect) {},
	}
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf("%9.3f  %s", w.now.Sub(epoch).Seconds(), fmt.Sprintf(format, args...)))
}

// sayOnce leaves out what is repeated at every look.
func (w *world) sayOnce(text string) {
	if kind, _, _ := strings.Cut(text, " "); w.repeats[kind] != text {
		w.repeats[kind] = text
		w.say("%s", text)
	}
}

// feed gives the supervisor an event and carries out what it decides.
func (w *world) feed(e Event) {
	for events := []Event{e}; len(events) > 0 && !w.over; events = events[1:] {
		for _, f := range w.s.Step(w.now, events[0]) {
			if w.see(f); w.over {
				w.say("after the end: %T %v", f, f)
			}
			if answer := w.do(f); answer != nil {
				events = append(events, answer)
			}
		}
	}
}

func (w *world) do(f Effect) Event {
	switch f := f.(type) {
	case Start:
		w.say("start %s", f.ID)
		if err := w.broken[f.ID]; err != nil {
			return NotStarted{f.ID, err}
		}
		w.pids++
		w.procs[f.ID] = w.pids
		w.vitals[f.ID] = Vitals{State: 'R'}
		return Started{f.ID, w.pids}
	case Terminate:
		w.say("terminate %s", f.ID)
	case Kill:
		w.say("kill %s", f.ID)
	case Look:
		vitals := map[string]Vitals{}
		for _, id := range f.Vitals {
			if v, runs := w.vitals[id]; runs {
				vitals[id] = v
			}
		}
		return Looked{w.answer(), vitals, w.limits}
	case AskStop:
		w.say("ask for a stop: %s", f.Reason)
		return StopAnswered{w.refusal}
	case StopWorkers:
		w.sayOnce("stop the workers")
	case Suspect:
		w.say("suspect %s: %s", f.Suspicion.Subject, f.Suspicion.Evidence)
	case Show:
		w.sayOnce("show " + string(f.State) + " " + warningsText(f.Warnings))
	case Tell:
		w.say("tell %q", f.Text)
	case Log:
		w.say("log %q", f.Text)
	case Do:
		w.say("do %s", strings.TrimSpace(string(f.Job)+" "+f.Service))
		w.job = f.Job
	case Cancel:
		w.say("cancel %s", w.job)
	case End:
		w.over, w.err = true, f.Err
		if f.Err == nil {
			w.say("end")
			return nil
		}
		w.say("end, code %d: %s", exit.Code(f.Err), strings.ReplaceAll(f.Err.Error(), "\n", "; "))
	}
	return nil
}

func warningsText(warnings []wire.Warning) string {
	var all []string
	for _, x := range warnings {
		all = append(all, strings.TrimSpace(string(x.Kind)+" "+x.Subject)+": "+x.Text)
	}
	return "[" + strings.Join(all, "; ") + "]"
}

// answer is the status of the coordinator, if it runs.
func (w *world) answer() *wire.Status {
	if w.procs[wire.IDCoordinator] == 0 || w.status == nil {
		return nil
	}
	s := *w.status
	for _, ch := range w.s.workers() {
		m, shown := w.members[ch.id]
		if pid := w.procs[ch.id]; pid > 0 && shown {
			s.Processes = append(s.Processes, wire.Process{Role: wire.RoleWorker, ID: ch.id, PID: pid, Host: "here", Rank: m.rank, State: m.state})
		}
	}
	return &s
}

// ended ends the process of an ID.
func (w *world) ended(id string, e exit.Ending) error {
	pid := w.procs[id]
	if pid == 0 {
		return errors.New("no such process")
	}
	delete(w.procs, id)
	delete(w.vitals, id)
	w.feed(Ended{id, pid, e, w.limits})
	return nil
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	until := w.now.Add(d)
	for next := w.s.Next(); !w.over && !next.IsZero() && !next.After(until); next = w.s.Next() {
		if next.After(w.now) {
			w.now = next
		}
		w.feed(Tick{})
	}
	w.now = until
}

// running are the IDs of all processes.
func (w *world) running() (all []string) {
	for id := range w.procs {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}
