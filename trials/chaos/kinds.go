package chaos

import (
	"slices"
	"syscall"

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

// kinds lists every kind with its weight where a plan gives none.
var kinds = []struct {
	kind   Kind
	weight int
	doc    string
}{
	{KillWorker, 6, "kill -9 of a worker"},
	{FreezeShort, 2, "SIGSTOP of a worker, and SIGCONT before failure_timeout is over"},
	{FreezeLong, 2, "SIGSTOP of a worker, and SIGCONT after failure_timeout"},
	{KillCoordinator, 2, "kill -9 of the coordinator"},
	{KillCheckpoint, 2, "kill -9 of the checkpoint service"},
	{KillUp, 1, "kill -9 of `gramme up`, and the same command again"},
	{KillAll, 1, "kill -9 of every process, and the same command again"},
	{Interrupt, 1, "SIGINT of `gramme up`, and the same command again"},
	{Drain, 2, "gramme drain of a worker"},
	{ScaleDown, 2, "gramme scale to fewer workers"},
	{ScaleUp, 2, "gramme scale to more workers"},
	{CutShort, 2, "network of a worker cut, and healed before failure_timeout is over"},
	{CutLong, 2, "network of a worker cut, and healed after failure_timeout"},
	{CutOneWay, 2, "likewise after failure_timeout, but only to or from it"},
	{KillEtcd, 1, "kill -9 of one etcd member, and its start again (services: cluster)"},
	{KillNATS, 1, "kill -9 of one NATS server, and its start again (services: cluster)"},
	{EtcdAway, 1, "kill -9 of all etcd members, and their start again (services: cluster)"},
	{NATSAway, 1, "kill -9 of all NATS servers, and their start again (services: cluster)"},
	{CrashWorker, 4, "crash of a worker: SIGSEGV, SIGABRT, SIGQUIT, SIGBUS, SIGFPE or SIGILL"},
	{CrashCoordinator, 1, "crash of the coordinator, likewise"},
	{CrashCheckpoint, 1, "crash of the checkpoint service, likewise"},
	{Hang, 1, "the thread of a worker that computes is stopped for good, and all others go on (ptrace)"},
}

// Kinds lists all kinds of faults, and what each does.
func Kinds() (names []Kind, docs []string) {
	for _, k := range kinds {
		names, docs = append(names, k.kind), append(docs, k.doc)
	}
	return names, docs
}

// restarts tells whether `gramme up` ends by it and is started again.
func (k Kind) restarts() bool { return k == KillUp || k == KillAll || k == Interrupt }

// resizes tells whether it needs a range of workers.
func (k Kind) resizes() bool { return slices.Contains([]Kind{Drain, ScaleDown, ScaleUp}, k) }

// hitsWorker tells whether its target is a worker of the ring.
func (k Kind) hitsWorker() bool {
	return slices.Contains([]Kind{KillWorker, CrashWorker, FreezeShort, FreezeLong, Drain, CutShort, CutLong, CutOneWay, Hang}, k)
}

// freezes tells whether its target is stopped and goes on later.
func (k Kind) freezes() bool { return k == FreezeShort || k == FreezeLong }

// cuts tells whether its target is cut off and reached again later.
func (k Kind) cuts() bool { return k == CutShort || k == CutLong || k == CutOneWay }

// crashes tells whether its target ends as a program that fails.
func (k Kind) crashes() bool {
	return slices.Contains([]Kind{CrashWorker, CrashCoordinator, CrashCheckpoint}, k)
}

// crashSignals are those that a runtime reports as a crash. The Go runtime catches all of
// them, prints what it knows and ends with exit code 2.
var crashSignals = []struct {
	name   string
	signal syscall.Signal
}{
	{"SIGSEGV", syscall.SIGSEGV}, {"SIGABRT", syscall.SIGABRT}, {"SIGQUIT", syscall.SIGQUIT},
	{"SIGBUS", syscall.SIGBUS}, {"SIGFPE", syscall.SIGFPE}, {"SIGILL", syscall.SIGILL},
}

// signal is what ends the target of a fault.
func (f Fault) signal() (name string, s syscall.Signal) {
	if !f.Kind.crashes() {
		return "SIGKILL", syscall.SIGKILL
	}
	by := crashSignals[f.Pick>>32%uint64(len(crashSignals))] // the lower bits choose who is hit
	return by.name, by.signal
}

// serves is the kind of service that it kills, or "".
func (k Kind) serves() string {
	switch k {
	case KillEtcd, EtcdAway:
		return cluster.Etcd
	case KillNATS, NATSAway:
		return cluster.NATS
	}
	return ""
}
