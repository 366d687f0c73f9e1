package torch

import (
	"context"
	"errors"
	"runtime"
)

// ErrStopped is what Do returns when the thread no longer runs.
var ErrStopped = errors.New("the libtorch thread has stopped")

// Thread owns all tensor work of a process: one goroutine on one OS thread,
// which runs functions for others in the order in which they come.
type Thread struct {
	work chan call
	done chan struct{}
}

type call struct {
	f      func() error
	result chan error
}

// NewThread returns a thread that serves once Run is called.
func NewThread() *Thread {
	return &Thread{work: make(chan call), done: make(chan struct{})}
}

// ThreadName is the name of the thread in lists of threads. The threads that libtorch
// starts from it have the same name.
const ThreadName = "compute"

// Run serves Do until ctx ends and returns its error. It is called once.
func (t *Thread) Run(ctx context.Context) error {
	// The thread is never unlocked: it ends with the goroutine, and then libtorch frees
	// what it keeps per thread.
	runtime.LockOSThread()
	defer close(t.done)
	nameThread(ThreadName)
	for {
		select {
		case c := <-t.work:
			c.result <- c.f()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Do runs f on the thread and returns its error, or ErrStopped. It must not be
// called from inside f.
func (t *Thread) Do(f func() error) error {
	c := call{f, make(chan error, 1)}
	select {
	case t.work <- c:
	case <-t.done:
		return ErrStopped
	}
	select {
	case err := <-c.result:
		return err
	case <-t.done:
		// Run finishes the call that it has begun before it stops.
		select {
		case err := <-c.result:
			return err
		default:
			return ErrStopped
		}
	}
}
