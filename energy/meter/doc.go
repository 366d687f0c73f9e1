// Package meter measures what a process, and through one process of a host the
// host itself, draws, and hands it to the checkpoint service as numbered
// records of package energy.
//
// # What is read
//
// A Source is a counter: of energy (RAPL; others are given to Open), or of what
// energy is estimated from. Every process estimates its own processor time
// (from its birth on) and its own memory (from Open on; shared pages count for
// each process that maps them). The RAPL counters of a host have one owner: the
// first process that locks them, by a file in the system's folder for temporary
// files, named after the boot; the kernel drops the lock with its process, and
// another one takes over. The file says which run that is, and which kinds of
// device it covers.
//
// Nothing counts twice: while a process holds a counter that covers a kind of
// device, no other process on that host estimates that kind, of whatever run. The
// estimates stop when the lock is seen and begin again when it is seen to be
// free; an interval that falls in between is stated as a gap. A process of another
// run states gaps that name the run which is charged (energy.Gap.CountedBy), and
// the readings of a host's counter say who used its processors meanwhile
// (energy.Load): the accounts of the runs of a host add up to what it counted.
// This holds among processes that see the same folder for temporary files.
//
// # What is believed
//
// A counter is used from the first look at which it has moved. It is not used, and
// a gap says why, when it stands still for three seconds in which the processors of
// the host work, when it reads less than what lies inside it (the platform less
// than its packages and memory, a package less than its cores), and when it gives
// three values within a minute that cannot be: falls that are no wrap, and more
// than the device can draw while the host is awake. One such value is a gap by
// itself. The platform is used before packages and memory, these before estimates.
// What does not fit yet is not booked until a later look shows that it does. A
// counter that was caught is tried again after a minute without a contradiction,
// then two, up to an hour. One that cannot be read for five intervals states a gap.
//
// # What cannot be read
//
// A device that is used and of which no meter is known is given to Open as
// Absent: it is a gap from the birth of the process to its end.
//
// # How it is divided
//
// Phase says what the process does from now on. Processor time is read at every
// change of phase, so that its estimate is divided by what each phase used. All
// other meters are divided by the time spent in each phase within the interval
// between two looks, and say so (energy.QualityApportioned). A counter of the
// host is divided by the phases of its owner, whatever else runs there.
//
// # What is guaranteed
//
// Energy is neither lost nor doubled: the parts of a reading add up to it, the
// remainder of each conversion is carried on, and the readings of a meter
// continue each other, or a gap or energy.QualityBaseline says that they do not.
// Sequence numbers run from 1 without a hole, whatever fails. The readings are
// in a write-ahead log before they are sent, the open ones once an interval, and
// the next incarnation of a process sends what the one before could not: a kill
// costs at most what was drawn since the last look, and that is stated as a gap.
// Records are sent again, with the same key, until they are acknowledged.
//
// A full disk or an absent service stop nothing. Records wait in memory, and
// readings become longer the more of them wait, so that memory grows with the
// logarithm of the time.
//
// A reading joins what successive looks saw, up to thirty intervals (fewer in the
// first minute of a process) of one generation, so that the ledger grows by few
// entries. Until it is finished the log holds it, as of the last look; gaps that go on, too.
//
// # What is not
//
// Children of the process are not metered: they have their own Meter. There is
// one Meter a process; two would count its energy twice. What is drawn between
// the last look and the end of a process that ends cleanly is not counted. A
// sensor is believed within what its device can draw.
package meter
