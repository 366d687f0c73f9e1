package chaos

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

// Kind is what a fault does.
type Kind string

// Kinds of faults.
const (
	KillWorker      Kind = "kill-worker"
	FreezeShort     Kind = "freeze-short"
	FreezeLong      Kind = "freeze-long"
	KillCoordinator Kind = "kill-coordinator"
	KillCheckpoint  Kind = "kill-checkpoint"
	KillUp          Kind = "kill-up"
	KillAll         Kind = "kill-all"
	Interrupt       Kind = "interrupt"
	Drain           Kind = "drain"
	ScaleDown       Kind = "scale-down"
	ScaleUp         Kind = "scale-up"
	CutShort        Kind = "cut-short"
	CutLong         Kind = "cut-long"
	CutOneWay       Kind = "cut-one-way"
	KillEtcd        Kind = "kill-etcd"
	KillNATS        Kind = "kill-nats"
	EtcdAway        Kind = "etcd-away"
	NATSAway        Kind = "nats-away"

	CrashWorker      Kind = "crash-worker"
	CrashCoordinator Kind = "crash-coordinator"
	CrashCheckpoint  Kind = "crash-checkpoint"

	Hang Kind = "hang"
)

// trait is what kinds of faults have in common.
type trait int

const (
	worker  trait = 1 << iota // the target is a worker of the ring
	resize                    // it needs a range of workers
	restart                   // `gramme up` ends by it and is started again
	freeze                    // the target is stopped and goes on later
	cut                       // the target is cut off and reached again later
	crash                     // the target ends as a program that fails
)

// kindOf describes a kind.
type kindOf struct {
	kind   Kind
	weight int // where a plan gives none
	doc    string
	traits trait
	hold   [2]float64 // the least time that its target is frozen, cut off or away, and how much more, in failure timeouts
	serves string     // the kind of service that it kills
}

// kinds lists every kind. A coordinator outlives three failure timeouts without etcd.
var kinds = []kindOf{
	{kind: KillWorker, weight: 6, doc: "kill -9 of a worker", traits: worker},
	{kind: FreezeShort, weight: 2, doc: "SIGSTOP of a worker, and SIGCONT before failure_timeout is over", traits: worker | freeze, hold: [2]float64{0.1, 0.5}},
	{kind: FreezeLong, weight: 2, doc: "SIGSTOP of a worker, and SIGCONT after failure_timeout", traits: worker | freeze, hold: [2]float64{1.5, 1.5}},
	{kind: KillCoordinator, weight: 2, doc: "kill -9 of the coordinator"},
	{kind: KillCheckpoint, weight: 2, doc: "kill -9 of the checkpoint service"},
	{kind: KillUp, weight: 1, doc: "kill -9 of `gramme up`, and the same command again", traits: restart},
	{kind: KillAll, weight: 1, doc: "kill -9 of every process, and the same command again", traits: restart},
	{kind: Interrupt, weight: 1, doc: "SIGINT of `gramme up`, and the same command again", traits: restart},
	{kind: Drain, weight: 2, doc: "gramme drain of a worker", traits: worker | resize},
	{kind: ScaleDown, weight: 2, doc: "gramme scale to fewer workers", traits: resize},
	{kind: ScaleUp, weight: 2, doc: "gramme scale to more workers", traits: resize},
	{kind: CutShort, weight: 2, doc: "network of a worker cut, and healed before failure_timeout is over", traits: worker | cut, hold: [2]float64{0.1, 0.5}},
	{kind: CutLong, weight: 2, doc: "network of a worker cut, and healed after failure_timeout", traits: worker | cut, hold: [2]float64{1.5, 1.5}},
	{kind: CutOneWay, weight: 2, doc: "likewise after failure_timeout, but only to or from it", traits: worker | cut, hold: [2]float64{1.5, 1.5}},
	{kind: KillEtcd, weight: 1, doc: "kill -9 of one etcd member, and its start again (services: cluster)", hold: [2]float64{0.5, 3.5}, serves: cluster.Etcd},
	{kind: KillNATS, weight: 1, doc: "kill -9 of one NATS server, and its start again (services: cluster)", hold: [2]float64{0.5, 3.5}, serves: cluster.NATS},
	{kind: EtcdAway, weight: 1, doc: "kill -9 of all etcd members, and their start again (services: cluster)", hold: [2]float64{0.5, 3.5}, serves: cluster.Etcd},
	{kind: NATSAway, weight: 1, doc: "kill -9 of all NATS servers, and their start again (services: cluster)", hold: [2]float64{0.5, 3.5}, serves: cluster.NATS},
	{kind: CrashWorker, weight: 4, doc: "crash of a worker: SIGSEGV, SIGABRT, SIGQUIT, SIGBUS, SIGFPE or SIGILL", traits: worker | crash},
	{kind: CrashCoordinator, weight: 1, doc: "crash of the coordinator, likewise", traits: crash},
	{kind: CrashCheckpoint, weight: 1, doc: "crash of the checkpoint service, likewise", traits: crash},
	{kind: Hang, weight: 1, doc: "the thread of a worker that computes is stopped for good, and all others go on (ptrace)", traits: worker},
}

// of describes this kind.
func (k Kind) of() kindOf {
	if i := slices.IndexFunc(kinds, func(o kindOf) bool { return o.kind == k }); i >= 0 {
		return kinds[i]
	}
	return kindOf{kind: k}
}

// is reports whether the kind has one of some traits.
func (k Kind) is(one trait) bool { return k.of().traits&one != 0 }

// serves is the kind of service that it kills, or "".
func (k Kind) serves() string { return k.of().serves }

// Kinds lists all kinds of faults, and what each does.
func Kinds() (names []Kind, docs []string) {
	for _, k := range kinds {
		names, docs = append(names, k.kind), append(docs, k.doc)
	}
	return names, docs
}

// crashSignals are those that a runtime reports as a crash. The Go runtime catches all of
// them, prints what it knows and ends with exit code 2.
var crashSignals = []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGQUIT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL}

// signal is what ends the target of a fault.
func (f Fault) signal() (name string, s syscall.Signal) {
	s = syscall.SIGKILL
	if f.Kind.is(crash) {
		s = crashSignals[f.Pick>>32%uint64(len(crashSignals))] // the lower bits choose who is hit
	}
	return unix.SignalName(s), s
}
