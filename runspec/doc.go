// Package runspec says what a run is: one documented struct, its defaults, what
// is valid, where each value came from, and a hash of what determines the bits.
//
// Keys are of two kinds. Identity keys determine the weights that a run ends
// with; they are fixed when the run begins and Hash covers them and nothing
// else. Operational keys (how many workers, how often to checkpoint, what a
// kilowatt-hour emits) may change whenever the run is continued.
//
// A value comes from, in rising precedence: the default (which may depend on
// the model), a YAML file, the environment (GRAMME_…), a flag. A key that does
// not exist is refused and the nearest that does is named.
//
// It guarantees that a Spec which New or Resume returned is valid, and that two
// specs with the same Hash train the same weights from the same corpus on one
// kind of machine. It does not know the corpus and does not choose a precision
// or a number of steps: those are measured by whoever begins the run.
package runspec
