package wire

// Keys are the places of one run in etcd.
type Keys struct{ prefix string }

// KeysOf returns the keys of a run.
func KeysOf(run string) Keys { return Keys{"/gramme/" + run + "/"} }

func (k Keys) Prefix() string          { return k.prefix }
func (k Keys) Spec() string            { return k.prefix + "spec" }   // runspec.Spec as JSON, written once
func (k Keys) Plan() string            { return k.prefix + "plan" }   // Plan, written by the elected coordinator only
func (k Keys) Intent() string          { return k.prefix + "intent" } // Intent
func (k Keys) Workers() string         { return k.prefix + "workers/" }
func (k Keys) Worker(id string) string { return k.Workers() + id } // Registration, under the worker's lease
func (k Keys) Election() string        { return k.prefix + "election" }
func (k Keys) Up() string              { return k.prefix + "up" }     // membership.Holder, under the lease of a `gramme up` on shared services
func (k Keys) Secret() string          { return k.prefix + "secret" } // that mailboxes of workers ask for; on shared services only

// Subjects are the places of one run in NATS.
type Subjects struct{ prefix string }

// SubjectsOf returns the subjects of a run.
func SubjectsOf(run string) Subjects { return Subjects{"gramme." + run + "."} }

// Published without an answer.
func (s Subjects) Beat(worker string) string { return s.prefix + "beat." + worker } // Beat
func (s Subjects) Beats() string             { return s.prefix + "beat.*" }
func (s Subjects) Process() string           { return s.prefix + "process" }      // ProcessBeat
func (s Subjects) Hello() string             { return s.prefix + "hello" }        // Hello, between members of a new generation
func (s Subjects) Suspect() string           { return s.prefix + "suspect" }      // Suspicion, to the coordinator
func (s Subjects) MailboxProbe() string      { return s.prefix + "reach" }        // MailboxProbe, answered by each worker with ProbeAnswer
func (s Subjects) Refused(w string) string   { return s.prefix + "refused." + w } // Refusal, by the coordinator
func (s Subjects) Committed() string         { return s.prefix + "committed" }    // Committed, by the checkpoint service
func (s Subjects) Stop() string              { return s.prefix + "stop" }         // empty, to the workers, from a `gramme up` that cannot go on: there may be no coordinator to ask

// Requests, answered with a Reply unless stated otherwise.
func (s Subjects) Control() string              { return s.prefix + "control" }           // Control → coordinator
func (s Subjects) Status() string               { return s.prefix + "status" }            // empty → coordinator, Result is Status
func (s Subjects) Shard() string                { return s.prefix + "shard" }             // Range → coordinator, answered with RangeHeader + bytes
func (s Subjects) Entry(worker string) string   { return s.prefix + "entry." + worker }   // Range → worker: words of its newest entry, or of one that it pins
func (s Subjects) Pin(worker string) string     { return s.prefix + "hold." + worker }    // Pin → worker, Result is SnapshotInfo
func (s Subjects) Snapshot(donor string) string { return s.prefix + "snapshot." + donor } // Range → worker or "checkpoint"
func (s Subjects) SnapshotInfo(d string) string { return s.prefix + "snapshotinfo." + d } // empty → SnapshotInfo
func (s Subjects) Slice() string                { return s.prefix + "slice" }             // SliceHeader in the headers, bytes → checkpoint service
func (s Subjects) Readings() string             { return s.prefix + "readings" }          // Readings → checkpoint service; acknowledged once persistent
func (s Subjects) Events() string               { return s.prefix + "events" }            // Events → checkpoint service; acknowledged once persistent
