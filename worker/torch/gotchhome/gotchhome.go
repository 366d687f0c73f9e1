// Package gotchhome keeps gotch from making a cache folder below HOME, which it
// does before main begins, and which ends the process where HOME is missing or not
// writable, as for the numeric users of containers. Gramme needs nothing of it.
//
// It works because Go initializes packages by the order of their import paths, as
// soon as what they import is initialized: this package imports less than gotch and
// comes before it. It guarantees nothing to programs that do not import it.
package gotchhome

import "os"

// variable names the folder; one that is there is not made.
const variable = "GOTCH_CACHE"

var _ = os.Setenv(variable, "/")
