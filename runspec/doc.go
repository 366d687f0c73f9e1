// Package runspec is the configuration of a run: one documented struct, its defaults, its
// validation, the origin of each value, and a hash of the keys that determine the bits.
//
// Keys are of two kinds. Identity keys determine the weights that a run ends
// with; they are fixed when the run begins and Hash covers them and nothing
// else. Operational keys (the number of workers, the time between checkpoints, the
// intensity of the grid) may change whenever the run is resumed.
//
// A value comes from, in rising precedence: the default (which may depend on
// the model), the recipe (for some keys), a YAML file, the environment (GRAMME_…),
// a flag. A recipe chooses once, when the run begins; its spec holds plain values. A
// key that does not exist is refused, and the error names the nearest one.
//
// It guarantees that a Spec which New or Resume returned is valid, and that two
// specs with the same Hash train the same weights from the same corpus on one kind of
// machine; where libtorch's own operations compute, with as many threads. It does not know
// the corpus and does not measure: `gramme up` does when it starts the run, and this package
// chooses precision, workers and threads by what it found.
package runspec
