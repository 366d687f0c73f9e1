package process

import (
	"runtime"
	"sync"
)

// ReserveThreads makes sure that this process has some threads. A Go program that
// cannot start one ends with a dump at once; threads that it has, it keeps and uses
// again. In a container of few threads, a parent takes its own before it starts
// children, so that a child rather than the parent finds none.
func ReserveThreads(n int) {
	var have, done sync.WaitGroup
	have.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread() // waits on a thread of its own
			defer runtime.UnlockOSThread()
			have.Done()
			have.Wait()
		})
	}
	done.Wait()
}
