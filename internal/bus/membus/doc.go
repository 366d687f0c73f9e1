// Package membus is a bus within one process, for simulations and tests.
//
// A Server is what all connections share, and a Conn is one process's connection to it,
// which Interrupt takes away for a while and Close for ever, as the end of a process
// does. SetFate lets a test drop, delay and repeat messages on their way to one
// subscriber, and Partition separates connections from the others.
//
// It keeps the contract of package bus, with what a fate does to it. A message that is
// delayed holds up those behind it from the same publisher to the same subscriber, as
// on a slow link. Time is that of package time, and therefore virtual inside
// testing/synctest, where all that it waits for is in the bubble.
package membus
