//go:build linux

package process

import (
	"os"
	"testing"
)

func TestReserveThreads(t *testing.T) {
	const n = 40
	ReserveThreads(n)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil || len(tasks) < n {
		t.Errorf("%d threads, %v", len(tasks), err)
	}
}
