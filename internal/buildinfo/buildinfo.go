// Package buildinfo names this build. Workers of another build are not admitted
// to a run: their arithmetic may differ.
package buildinfo

// Version is set by the linker: scripts/setup names the commit and, where the
// sources are not those of one, their hash.
var Version = "devel"

// Software is the name and version that ledgers and model cards record.
func Software() string { return "gramme " + Version }
