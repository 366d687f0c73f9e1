// Package architecture holds no code, only tests that read the source of every
// package of this module and hold the rules that its design lives from:
//
//   - arrows point one way: commands use roles, roles use adapters and cores,
//     adapters use cores, and a core uses cores only;
//   - roles meet on the wire, never in each other's packages;
//   - a foreign module stays where it belongs: cgo and libtorch in the worker's
//     packages, etcd and NATS in their adapters;
//   - a pure core has no network, disk, clock, log or goroutine;
//   - a library returns errors: it does not panic and does not end the process;
//   - every package says in a comment what it is.
//
// The rules stand as data in rules_test.go, each exception with its reason. The
// files are parsed, not built, so that files for other systems and files that
// need cgo count as well. Tests of packages are free of the rules: they join
// what the packages keep apart.
package architecture
