// Package meter measures what a process, and through one process of a host the
// host itself, draws, and hands it to the checkpoint service as numbered
// records of package energy.
//
// # What is read
//
// A Source is a counter: of energy (RAPL; others are given to Open), or of a quantity
// from which energy is estimated. Every process estimates its own processor time (from
// its birth on) and its own memory (from Open on; shared pages count for each process
// that maps them). The RAPL counters of a host have one owner: the first process that
// locks a file in the system's folder for temporary files, named after the boot. The
// kernel drops the lock when the process ends, and another process takes over. The file
// says which run the owner belongs to and which kinds of device it covers.
//
// Nothing counts twice: while a process owns a counter that covers a kind of device, no
// other process on that host, of any run, estimates that kind. Estimates stop when the
// lock is noticed and start again when it is free; an interval between is a gap. A
// process of another run states gaps that name the run which is charged
// (energy.Gap.CountedBy), and the readings of a host's counter say which runs used its
// processors meanwhile (energy.Load), so the accounts of the runs of a host add up to
// what was counted. This holds among processes that see the same folder for temporary
// files.
//
// # What is believed
//
// A counter is used from the first sample at which it has moved. It is not used, and a
// gap gives the reason, when
//
//   - it stands still for three seconds in which the processors of the host work;
//   - it reads less than what lies inside it (the platform less than its packages and
//     memory, a package less than its cores);
//   - it gives three impossible values within a minute: falls that are no wrap, or more
//     than the device can draw while the host is awake. One such value is a gap by
//     itself;
//   - it cannot be read for five intervals.
//
// The platform is used before packages and memory, these before estimates. Energy that
// does not fit yet is not booked until a later sample confirms it. A distrusted counter
// is used again after a minute without a contradiction, then two, up to an hour.
//
// # What cannot be read
//
// A device in use without a known meter is given to Open as Absent: it is a gap from the
// birth of the process to its end.
//
// # How it is divided
//
// Phase sets what the process does from now on. Processor time is read at every change
// of phase, so its estimate is divided by what each phase used. All other meters are
// divided by the time spent in each phase between two samples, and say so
// (energy.QualityApportioned). A counter of the host is divided by the phases of its
// owner, whatever else runs there.
//
// # What is guaranteed
//
// Energy is neither lost nor doubled: the parts of a reading add up to it, the remainder
// of each conversion is carried on, and the readings of a meter continue each other, or
// a gap or energy.QualityBaseline says that they do not. Sequence numbers run from 1
// without a hole, whatever fails. Readings are in a write-ahead log before they are
// sent, the open ones once an interval. The next incarnation of a process sends the
// pending ones: a kill costs at most the energy since the last sample, and that is a
// gap. Records are sent again, with the same key, until they are acknowledged.
//
// Neither a full disk nor an absent service stops anything. Records wait in memory, and
// readings become longer the more of them wait, so memory grows with the logarithm of
// time.
//
// A reading joins successive samples of one generation, up to thirty intervals (fewer in
// the first minute of a process), so the ledger grows by few entries. Until a reading or
// gap is finished, the log holds it as of the last sample.
//
// # What is not
//
// Children of the process are not metered: they have their own Meter. There is one Meter
// per process; two would count its energy twice. Energy between the last sample and the
// end of a process that ends cleanly is not counted. A sensor is believed within what its
// device can draw.
package meter
