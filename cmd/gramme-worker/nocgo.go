//go:build !cgo

// Command gramme-worker needs libtorch and so cgo: scripts/setup builds it.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "error: gramme-worker was built without libtorch\nhint: build it with scripts/setup")
	os.Exit(5)
}
