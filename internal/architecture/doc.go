// Package architecture holds no code, only tests that read the source of every package
// of this module and check rules that no linter knows:
//
//   - a core has no clock and starts no goroutine: time comes in as a value;
//   - measured numbers stand in JSON as types that may be not finite;
//   - the words of contracts stand in internal/wire alone;
//   - the simulation drives the cores of the roles;
//   - paths that texts and scripts name exist.
//
// Imports, and calls that end a process, have rules in .golangci.yml. Files are
// parsed, not built, so that files for other systems and files that need cgo count as
// well. Tests of packages are free of the rules.
package architecture
