// Package preflight decides from facts about a machine whether a run can work
// there, before anything is read or computed: memory, processes, open files, disk,
// folders and sockets. `gramme up` and `gramme doctor` share it; package machine
// gathers the facts.
//
// It guarantees that a finding names the thing, what was found, what is needed and
// what to set; and that what is only an estimate fails a run only where the least
// that a run was ever seen to take is not there. A run that could have gone on is
// never refused.
//
// It does not promise that a run which passes has enough: others use the machine as
// well, and memory in particular is an estimate.
package preflight

import (
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level int

// Levels, from good to bad.
const (
	OK      Level = iota
	Note          // works, but not as well as it could
	Warning       // may not be enough
	Failure       // cannot work
)

// Finding is what one check found.
type Finding struct {
	Name  string // of the thing: "memory"
	Level Level
	Text  string // what there is, and what is needed
	Hint  string // what to set; empty where all is well
}

func (f Finding) String() string { return f.Name + ": " + f.Text }

// Report is what all checks found.
type Report struct {
	Findings []Finding
	// Workers is the number of workers that fit, from the run's least to its most.
	// Scarce names the finding that keeps it below the most, if one does.
	Workers int
	Scarce  string
}

// At returns the findings of a level.
func (r Report) At(l Level) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Level != l })
}

// Check compares what a run needs with what the machine has.
func Check(f Facts, n Need) Report {
	r := Report{Workers: max(1, n.Most)}
	n.Least, n.Most = max(1, n.Least), max(1, n.Most)
	for _, s := range []supply{memory(f, n), tasks(f, n), files(f, n)} {
		found, fit := s.check(n.Least, n.Most)
		r.Findings = append(r.Findings, found)
		if fit < r.Workers {
			r.Workers, r.Scarce = fit, found.Name
		}
	}
	for _, found := range []Finding{addressSpace(f, n), stack(f), runFolder(f), disk(f, n), inodes(f, n), fileSize(f, n), sockets(f), cache(f)} {
		if found.Text != "" {
			r.Findings = append(r.Findings, found)
		}
	}
	return r
}

// amount is what a run takes of something: `up` with the services, and each worker.
type amount struct{ services, worker int64 }

func (a amount) of(workers int) int64 { return a.services + int64(workers)*a.worker }

// supply is something that workers share.
type supply struct {
	name  string
	have  int64  // what is free now
	most  int64  // what could become free
	where string // what limits it, as the beginning of a sentence
	floor amount // the least that a run was ever seen to take
	usual amount // what it takes, about
	show  func(int64) string
	raise string // how to get more
}

// check says whether there is enough for the least number of workers, and how many
// of the most fit.
func (s supply) check(least, most int) (Finding, int) {
	if s.have == Unlimited && s.most == Unlimited {
		return Finding{Name: s.name, Text: "no limit"}, most
	}
	fit := most
	for fit > least && s.usual.of(fit) > s.have {
		fit--
	}
	text := fmt.Sprintf("%s %s, %s about %s", s.where, s.show(min(s.have, s.most)), takes(fit), s.show(s.usual.of(fit)))
	hint := s.raise
	if least > 1 && s.floor.of(1) <= s.most {
		hint += ", or give --workers 1"
	}
	switch {
	case s.floor.of(least) > s.most:
		text = fmt.Sprintf("%s %s, %s at least %s and about %s", s.where, s.show(s.most), takes(least), s.show(s.floor.of(least)), s.show(s.usual.of(least)))
		return Finding{s.name, Failure, text, hint}, least
	case s.usual.of(fit) > s.have:
		return Finding{s.name, Warning, text, hint}, fit
	case fit < most:
		text = fmt.Sprintf("%s %s, %s about %s", s.where, s.show(s.have), takes(most), s.show(s.usual.of(most)))
		return Finding{s.name, Warning, text, hint}, fit
	}
	return Finding{Name: s.name, Text: text}, fit
}

func takes(workers int) string {
	if workers == 1 {
		return "a run of 1 worker takes"
	}
	return fmt.Sprintf("a run of %d workers takes", workers)
}

// Bytes writes a size for people.
func Bytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GB", float64(n)/1e9)
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}

func number(n int64) string { return fmt.Sprint(n) }
