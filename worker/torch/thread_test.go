package torch_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/gramme-project/gramme/worker/torch"
)

func TestThread(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	thread := torch.NewThread()
	stopped := make(chan error)
	go func() { stopped <- thread.Run(ctx) }()

	var wait sync.WaitGroup
	sum := 0 // without a lock: the thread is the lock
	for i := range 100 {
		wait.Go(func() {
			if err := thread.Do(func() error { sum += i; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if sum != 4950 {
		t.Errorf("sum %d", sum)
	}
	failure := errors.New("a failure")
	if err := thread.Do(func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error %v, want that of the function", err)
	}

	// A call that has begun is finished, and its result arrives.
	begun := make(chan struct{})
	result := make(chan error)
	release := make(chan struct{})
	go func() {
		result <- thread.Do(func() error { close(begun); <-release; return failure })
	}()
	<-begun
	cancel()
	close(release)
	if err := <-result; !errors.Is(err, failure) {
		t.Errorf("error %v of a call that had begun", err)
	}
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if err := thread.Do(func() error { t.Error("ran"); return nil }); !errors.Is(err, torch.ErrStopped) {
		t.Errorf("error %v after the end", err)
	}
}
