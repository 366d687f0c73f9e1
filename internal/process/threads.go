package process

import (
	"runtime"
	"sync"
)

// ReserveThreads makes sure that this process has some threads. A Go program that
// cannot start one ends with a dump there and then; threads that it has, it keeps and
// uses again. Whoever starts children in a container of few threads takes its own before
// they do, so that it is a child that finds none.
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
